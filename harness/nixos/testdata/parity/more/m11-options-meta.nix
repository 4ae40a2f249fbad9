# mkEnableOption, mkPackageOption, literalExpression, defaultText, visible = false, internal, options.*.definitions.
{ config, lib, options, pkgs, ... }:
with lib;
{
  options.p = {
    enable = mkEnableOption "p" // { default = true; };
    package = mkPackageOption pkgs "curl" { };
    pkg2 = mkPackageOption pkgs "cURL" { default = "curl"; extraDescription = "x"; };
    pkg3 = mkPackageOption pkgs "jq" { nullable = true; default = null; };
    pkg4 = mkPackageOption pkgs [ "openssl" ] { example = "x"; };
    hidden = mkOption { visible = false; default = 1; };
    shallow = mkOption { visible = "shallow"; type = types.submodule { options.a = mkOption { default = 1; }; }; default = { }; };
    text = mkOption { default = 1; defaultText = literalExpression "1"; example = literalMD "x"; };
    sink = mkSinkUndeclaredOptions { };
    info = mkOption { type = types.attrs; };
  };
  config = {
    p.sink = 5;
    p.info = {
      prio = options.networking.hostName.highestPrio;

      files = map baseNameOf options.p.info.files;
      def = options.p.text.default;
      desc = options.p.enable.description;
      isDef = options.p.text.isDefined;
      loc = options.p.text.loc;
      t = options.p.enable.type.name;
      str = "${toString options.p.text}";
      decl = map baseNameOf options.p.text.declarations;
    };
    networking.hostName = mkIf config.p.enable "set";
    networking.firewall.allowedTCPPorts = [ 1 2 ];
  };
}
