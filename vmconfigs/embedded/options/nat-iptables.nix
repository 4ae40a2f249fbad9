# networking.nat by iptables(8), in the firewall's scripts. Old rules are flushed on every machine, so that
# they are gone when NAT is switched off.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  cfg = config.networking.nat;
  text = import ../text/nat-iptables.nix { inherit lib; } {
    inherit cfg;
    inherit (config.networking) enableIPv6;
  };

  commands =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
in
{
  options.networking.nat = {
    extraCommands = commands "Commands run when the rules are set.";
    extraStopCommands = commands "Commands run when they are taken away.";
  };

  config = lib.mkIf (!config.networking.nftables.enable) (
    lib.mkMerge [
      { networking.firewall.extraCommands = lib.mkBefore text.flush; }
      (lib.mkIf cfg.enable {
        networking.firewall = lib.mkIf config.networking.firewall.enable {
          extraCommands = text.setup;
          extraStopCommands = text.flush;
        };

        systemd.services.nat = lib.mkIf (!config.networking.firewall.enable) {
          description = "Network Address Translation";
          wantedBy = [ "network.target" ];
          after = [
            "network-pre.target"
            "systemd-modules-load.service"
          ];
          path = [ config.networking.firewall.package ];
          unitConfig.ConditionCapability = "CAP_NET_ADMIN";
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
          };
          script = text.flush + text.setup;
          postStop = text.flush;
        };
      })
    ]
  );
}
