# networking.firewall as a table of nft(8).
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption optionalString types;

  cfg = config.networking.firewall;

  rules =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };

  conflict = option: ''${option} is incompatible with the nftables based firewall: ${cfg.${option}}'';
in
{
  options.networking.firewall = {
    extraInputRules = rules "Rules of the chain `input-allow` (nftables).";
    extraForwardRules = rules "Rules of the chain `forward-allow` (nftables).";
    extraReversePathFilterRules = rules "Rules of the chain `rpfilter-allow` (nftables).";
  };

  config = lib.mkIf (cfg.enable && cfg.backend == "nftables") {
    assertions = [
      {
        assertion = cfg.extraCommands == "";
        message = conflict "extraCommands";
      }
      {
        assertion = cfg.extraStopCommands == "";
        message = conflict "extraStopCommands";
      }
      {
        assertion = cfg.pingLimit == null || !(lib.hasPrefix "--" cfg.pingLimit);
        message = "nftables syntax like \"2/second\" should be used in networking.firewall.pingLimit";
      }
      {
        assertion = config.networking.nftables.rulesetFile == null;
        message = "networking.nftables.rulesetFile conflicts with the firewall";
      }
    ];

    environment.systemPackages = lib.optional (pkgs ? nixos-firewall-tool) pkgs.nixos-firewall-tool;

    networking.nftables.tables.nixos-fw = {
      family = "inet";
      content = import ../text/firewall-nftables.nix { inherit lib; } cfg;
    };
  };
}
