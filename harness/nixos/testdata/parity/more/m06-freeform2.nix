# Freeform submodules with nested options, priorities inside, apply.
{ config, lib, pkgs, ... }:
with lib;
let fmt = pkgs.formats.ini { }; kv = pkgs.formats.keyValue { }; in
{
  options.s = mkOption {
    type = types.submodule {
      freeformType = types.attrsOf (types.attrsOf (types.oneOf [ types.int types.str types.bool ]));
      options.main.port = mkOption { type = types.port; default = 80; };
      options.main.host = mkOption { type = types.str; default = "h"; apply = toUpper; };
    };
    default = { };
  };
  options.k = mkOption { type = kv.type; default = { }; };
  options.j = mkOption { type = (pkgs.formats.json { }).type; default = { }; };
  config = {
    s.main.extra = 5;
    s.other.x = mkDefault "lost";
    s.other.y = true;
    k = { a = 1; b = true; c = "x"; d = 1.5; };
    j = { a = [ 1 { b = null; } ]; };
    environment.etc."s.ini".source = fmt.generate "s.ini" config.s;
    environment.etc."k".source = kv.generate "k.conf" config.k;
    environment.etc."j".text = builtins.toJSON config.j;
  };
  imports = [ { s.other.x = "won"; j.a = [ 2 ]; j.z.y = 1; } { j.z.x = mkForce 2; } ];
}
