# Two cables a machine, told apart by their hardware address: mgmt0 is the
# harness's own, lan0 carries what is tested. Whatever manages the network is to
# leave mgmt0 alone.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  rules = pkgs.writeTextDir "lib/udev/rules.d/75-offload-e2e.rules" ''
    SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="52:54:00:0e:*", NAME="mgmt0"
    SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="52:54:00:0f:*", NAME="lan0"
    SUBSYSTEM=="virtio-ports", ATTR{name}=="org.offload.journal", TAG+="systemd", ENV{SYSTEMD_WANTS}+="offload-e2e-journal.service"
  '';
in
lib.mkIf (!config.boot.isContainer) {
  services.udev.packages = [ rules ];

  networking = {
    dhcpcd.denyInterfaces = [ "mgmt0" ];
    networkmanager.unmanaged = [ "interface-name:mgmt0" ];
  };
  systemd.network.networks."10-mgmt0" = {
    matchConfig.Name = "mgmt0";
    linkConfig.Unmanaged = true;
  };

  systemd.services = {
    offload-e2e-mgmt0 = {
      description = "Management cable of the test harness";
      wantedBy = [ "sysinit.target" ];
      bindsTo = [ "sys-subsystem-net-devices-mgmt0.device" ];
      after = [ "sys-subsystem-net-devices-mgmt0.device" ];
      before = [ "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      unitConfig.DefaultDependencies = false;
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = [
          "${pkgs.iproute2}/bin/ip address replace 192.0.2.2/24 dev mgmt0"
          "${pkgs.iproute2}/bin/ip link set mgmt0 up"
        ];
      };
    };

    offload-e2e-journal = {
      description = "Stream the journal to the test harness";
      after = [ "systemd-journald.service" ];
      requires = [ "systemd-journald.service" ];
      unitConfig.DefaultDependencies = false;
      restartIfChanged = false;
      serviceConfig = {
        ExecStart = "${config.systemd.package}/bin/journalctl --boot --follow --lines=all --output=short-iso-precise --no-hostname";
        StandardOutput = "file:/dev/virtio-ports/org.offload.journal";
        Restart = "always";
        RestartSec = 1;
        OOMScoreAdjust = -1000;
      };
    };
  };
}
