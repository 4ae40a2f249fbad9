# networking.dhcpcd. In the guest systemd-networkd speaks DHCP on its cable; dhcpcd.service stands for it, so
# that what orders itself after it or reloads it works.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.networking.dhcpcd;
  inherit (config.networking) interfaces useDHCP;

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  inUse = cfg.enable && (useDHCP || lib.any (i: i.useDHCP == true) (lib.attrValues interfaces));
in
{
  options.networking.dhcpcd = {
    enable = opt types.bool true "Whether dhcpcd serves interfaces that use DHCP.";
    persistent = opt types.bool false "Whether addresses stay when it stops.";
    setHostname = opt types.bool true "Whether it sets the name of the machine.";
    denyInterfaces = opt (types.listOf types.str) [ ] "Interfaces it leaves alone; patterns are allowed.";
    allowInterfaces = opt (types.nullOr (types.listOf types.str)) null "Interfaces it may serve; all, if null.";
    extraConfig = opt types.lines "" "Text at the end of {file}`dhcpcd.conf`.";
    IPv6rs = opt (types.nullOr types.bool) null "Whether it asks for routers; null: where there are no static addresses.";
    allowSetuid = opt types.bool false "Whether its hook may use setuid programs.";
    runHook = opt types.lines "" "Shell commands on each event.";
    wait = opt (types.enum [
      "background"
      "any"
      "ipv4"
      "ipv6"
      "both"
      "if-carrier-up"
    ]) "any" "Which address the boot waits for.";
  };

  config = lib.mkIf inUse {
    systemd.services.dhcpcd = {
      description = "DHCP Client";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network.target" ];
      before = [ "network-online.target" ];
      unitConfig.ConditionCapability = "CAP_NET_ADMIN";
      stopIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${pkgs.coreutils}/bin/true";
        ExecReload = "${pkgs.systemd}/bin/networkctl reload";
      };
    };

    environment.etc."dhcpcd.exit-hook".text = cfg.runHook;

    powerManagement.resumeCommands = lib.mkIf config.systemd.services.dhcpcd.enable ''
      # Tell dhcpcd to rebind its interfaces if it's running.
      /run/current-system/systemd/bin/systemctl reload dhcpcd.service
    '';
  };
}
