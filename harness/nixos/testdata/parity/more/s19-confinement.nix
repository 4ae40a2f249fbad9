# systemd.services.<name>.confinement; the module of a processor's governor.
{ pkgs, ... }:
{
  systemd.services.held = {
    script = "echo held";
    confinement.enable = true;
  };
  systemd.services.bare = {
    serviceConfig.ExecStart = "${pkgs.hello}/bin/hello";
    serviceConfig.PrivateTmp = true;
    confinement = {
      enable = true;
      mode = "chroot-only";
      packages = [ pkgs.curl ];
      binSh = null;
      fullUnit = true;
    };
  };
  systemd.services.free.confinement.enable = false;
  powerManagement.cpuFreqGovernor = "ondemand";
}
