# timers, sockets, paths, targets, slices, mounts, automounts, user units, generators, manager settings.
{ lib, pkgs, ... }:
{
  systemd.timers.t = { description = "T"; wantedBy = [ "timers.target" ]; timerConfig = { OnCalendar = [ "daily" "weekly" ]; OnBootSec = "5min"; Persistent = true; Unit = "x.service"; RandomizedDelaySec = 30; }; partOf = [ "x.service" ]; };
  systemd.sockets.s = { description = "S"; wantedBy = [ "sockets.target" ]; listenStreams = [ "80" "/run/x" ]; listenDatagrams = [ "53" ]; socketConfig = { Accept = true; SocketMode = "0600"; ListenFIFO = "/f"; ListenStream = lib.mkDefault "9"; }; };
  systemd.paths.p = { pathConfig = { PathExists = "/a"; PathChanged = [ "/b" "/c" ]; MakeDirectory = true; }; wantedBy = [ "paths.target" ]; };
  systemd.targets.tt = { description = "TT"; requires = [ "a.service" ]; unitConfig.AllowIsolate = true; wants = [ "b.target" ]; };
  systemd.slices.sl = { sliceConfig = { MemoryMax = "1G"; CPUQuota = "50%"; }; description = "SL"; };
  systemd.mounts = [ { what = "/dev/x"; where = "/a/b-c"; type = "ext4"; options = "ro"; mountConfig.DirectoryMode = "0700"; wantedBy = [ "local-fs.target" ]; requires = [ "q.service" ]; enable = true; } ];
  systemd.automounts = [ { where = "/a/b-c"; automountConfig.TimeoutIdleSec = "60"; wantedBy = [ "multi-user.target" ]; description = "auto"; } ];
  systemd.user.services.us = { script = "x"; wantedBy = [ "default.target" ]; }; systemd.user.timers.ut.timerConfig.OnCalendar = "daily"; systemd.user.settings.Manager.DefaultTimeoutStopSec = "5s"; systemd.user.tmpfiles.rules = [ "d %h/x" ];
  systemd.settings.Manager = { DefaultTimeoutStopSec = "10s"; RuntimeWatchdogSec = "30s"; DefaultLimitNOFILE = 5; };
  systemd.coredump.enable = false; systemd.enableEmergencyMode = false; systemd.ctrlAltDelUnit = "poweroff.target"; systemd.defaultUnit = "multi-user.target"; systemd.packages = [ pkgs.cifs-utils ]; systemd.suppressedSystemUnits = [ "x.service" ]; systemd.additionalUpstreamSystemUnits = [ ]; systemd.oomd.enable = false; systemd.generators.x = "/dev/null"; systemd.shutdown.y = "/bin/y"; systemd.units."raw.service" = { text = "[Unit]\nDescription=raw\n"; wantedBy = [ "multi-user.target" ]; };
  systemd.tmpfiles.rules = [ "d /a 0755 root root -" "L+ /b - - - - /c" "w /x - - - - 1" ]; systemd.tmpfiles.settings."10-x" = { "/var/x".d = { user = "u"; group = "g"; mode = "0700"; age = "1d"; }; "/var/y"."L+".argument = "/z"; "/var/n".f.argument = "a b\nc"; }; systemd.tmpfiles.packages = [ ];
  systemd.sleep.settings.Sleep.AllowSuspend = false;
}
