# firewall.service, the firewall by iptables(8).
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.networking.firewall;

  text = import ../text/firewall-iptables.nix { inherit lib; } {
    inherit cfg;
    inherit (config.networking) enableIPv6;
  };

  script =
    name: body:
    let
      dir = pkgs.writeScriptBin name ''
        #! ${pkgs.runtimeShell} -e
        ${body}
      '';
    in
    "${dir}/bin/${name}";

  start = script "firewall-start" text.start;
  stop = script "firewall-stop" text.stop;
  reload = script "firewall-reload" (text.reload { inherit start stop; });
in
{
  options.networking.firewall = {
    extraCommands = mkOption {
      type = types.lines;
      default = "";
      description = "Commands run when the rules are set, before everything else is refused.";
    };
    extraStopCommands = mkOption {
      type = types.lines;
      default = "";
      description = "Commands run when the rules are taken away.";
    };
  };

  config = lib.mkIf (cfg.enable && cfg.backend == "iptables") {
    environment.systemPackages = lib.optional (pkgs ? nixos-firewall-tool) pkgs.nixos-firewall-tool;

    systemd.services.firewall = {
      description = "Firewall";
      wantedBy = [ "sysinit.target" ];
      wants = [ "network-pre.target" ];
      after = [ "systemd-modules-load.service" ];
      before = [
        "network-pre.target"
        "shutdown.target"
      ];
      conflicts = [ "shutdown.target" ];

      path = [ cfg.package ] ++ cfg.extraPackages;

      # not in a container that may not touch the network
      unitConfig.ConditionCapability = "CAP_NET_ADMIN";
      unitConfig.DefaultDependencies = false;

      reloadIfChanged = true;

      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "@${start} firewall-start";
        ExecReload = "@${reload} firewall-reload";
        ExecStop = "@${stop} firewall-stop";
      };
    };
  };
}
