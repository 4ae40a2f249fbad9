# users and groups: all fields.
{ lib, pkgs, config, ... }:
{
  users = {
    mutableUsers = false; defaultUserShell = pkgs.zsh; enforceIdUniqueness = true; motd = "welcome\n"; allowNoPasswordLogin = true;
    extraUsers.old = { isNormalUser = true; };
    groups = { g1 = { gid = 5000; members = [ "a" ]; }; g2 = { }; g3.name = "renamed"; };
    extraGroups.eg.gid = 5001;
    users = {
      a = { isNormalUser = true; uid = 1500; extraGroups = [ "wheel" "g2" ]; hashedPassword = "$6$x"; description = "A, b"; home = "/h/a"; homeMode = "0711"; createHome = false; shell = "/bin/sh"; packages = [ pkgs.curl pkgs.jq ]; linger = true; autoSubUidGidRange = true; openssh.authorizedKeys.keys = [ "ssh-ed25519 A a" "ssh-ed25519 B b" ]; expires = "2030-01-01"; };
      b = { isSystemUser = true; group = "g1"; hashedPasswordFile = "/run/p"; useDefaultShell = true; subUidRanges = [ { startUid = 100000; count = 65536; } ]; subGidRanges = [ { startGid = 100000; count = 10; } ]; pamMount = { }; cryptHomeLuks = null; ignoreShellProgramCheck = true; };
      c = { isNormalUser = true; initialPassword = "x"; group = "g2"; openssh.authorizedKeys.keyFiles = [ ./data/k.pub ]; enable = true; };
      d = { isNormalUser = true; enable = false; };
      e = { name = "ee"; isSystemUser = true; group = "nogroup"; uid = 400; password = "clear"; home = "/e"; createHome = true; };
      f = { isNormalUser = true; initialHashedPassword = ""; shell = pkgs.bash; };
      root.hashedPassword = "!"; root.shell = lib.mkForce pkgs.bashInteractive;
      nobody.description = lib.mkForce "none at all";
    };
  };
  programs.zsh.enable = true;
}
