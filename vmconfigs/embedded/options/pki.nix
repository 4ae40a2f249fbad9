# security.pki: nixos/modules/security/ca.nix
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.security.pki;
in
{
  options.security.pki = {
    installCACerts = lib.mkEnableOption "the certificates of authorities" // {
      default = true;
      internal = true;
    };
    useCompatibleBundle = lib.mkEnableOption "a bundle without trust rules";
    certificateFiles = mkOption {
      type = types.listOf types.path;
      default = [ ];
      description = "Files with more certificates, PEM.";
    };
    certificates = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "More certificates, PEM.";
    };
    caCertificateBlacklist = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Authorities not to trust.";
    };
    caBundle = mkOption {
      type = types.path;
      readOnly = true;
      description = "All certificates.";
    };
  };

  config.security.pki.caBundle = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";

  # The switch adds these to Debian's bundle (see `certificates` in ../render.nix).
  config.system.build.certificates =
    cfg.certificates ++ map (file: builtins.readFile file) cfg.certificateFiles;
}
