# services: every option of a unit.
{ lib, pkgs, config, ... }:
{
  systemd.services = {
    all = {
      enable = true; description = "d"; documentation = [ "man:x(1)" "https://x" ]; requires = [ "a.service" ]; wants = [ "b.service" ]; upholds = [ "u.service" ]; after = [ "c.service" "a.service" ]; before = [ "d.service" ]; bindsTo = [ "e.service" ]; partOf = [ "f.service" ]; conflicts = [ "g.service" ]; requisite = [ "h.service" ]; onFailure = [ "i.service" ]; onSuccess = [ "j.service" ]; wantedBy = [ "multi-user.target" "x.target" ]; requiredBy = [ "y.target" ]; upheldBy = [ "z.target" ]; aliases = [ "al.service" ]; unitConfig = { ConditionHost = "x"; AssertPathExists = [ "/a" "/b" ]; After = lib.mkForce [ "only.service" ]; }; serviceConfig = { Type = "notify"; LimitNOFILE = "1024:2048"; AmbientCapabilities = [ "CAP_NET_RAW" "CAP_SYS_ADMIN" ]; RestartSec = 5; ProtectSystem = "strict"; SystemCallFilter = [ "@system-service" "~@privileged" ]; User = "u"; PrivateDevices = lib.mkDefault true; };
      environment = { A = "1"; B = "x y"; PATH = lib.mkForce "/p"; N = toString 5; P = pkgs.curl; }; path = [ pkgs.curl "/opt/x" pkgs.openssl ]; preStart = "pre"; postStart = "post"; preStop = "stop"; postStop = "poststop"; reload = "re"; script = "main"; scriptArgs = "%i --x"; startLimitBurst = 3; startLimitIntervalSec = 60; restartTriggers = [ "a" 5 ]; reloadTriggers = [ pkgs.jq ]; reloadIfChanged = true; restartIfChanged = true; stopIfChanged = true; startAt = [ "daily" "*:0/5" ]; enableStrictShellChecks = false; enableDefaultPath = true; overrideStrategy = "asDropin"; notSocketActivated = true; 
    };
    nodefault = { enableDefaultPath = false; path = [ pkgs.curl ]; script = "x"; };
    jobscripts = { jobScripts = [ ]; script = "s"; };
    "tmpl@" = { serviceConfig.ExecStart = "/bin/x %i"; };
    "tmpl@inst" = { overrideStrategy = "asDropin"; wantedBy = [ "multi-user.target" ]; };
    oneshot = { serviceConfig = { Type = "oneshot"; ExecStart = [ "/a" "/b" ]; }; startAt = "hourly"; };

    cmd = { script = "set -x\n${lib.getExe pkgs.jq}"; serviceConfig.ExecStartPre = [ "+/x" "!/y" ]; preStart = "p"; };
  };

}
