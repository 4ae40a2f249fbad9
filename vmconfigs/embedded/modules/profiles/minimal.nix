# A small system: no manuals, none of the packages that nobody asked for.
{ lib, ... }:
{
  documentation.enable = lib.mkDefault false;
  documentation.doc.enable = lib.mkDefault false;
  documentation.info.enable = lib.mkDefault false;
  documentation.man.enable = lib.mkDefault false;
  documentation.nixos.enable = lib.mkDefault false;
  environment.defaultPackages = lib.mkDefault [ ];
  services.logrotate.enable = lib.mkDefault false;
}
