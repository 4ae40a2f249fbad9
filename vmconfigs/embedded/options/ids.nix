# Fixed numbers of users and groups: nixos/modules/misc/ids.nix. Those that
# modules of this stack ask for; others are given out at the switch.
{ lib, ... }:
let
  numbers = description: lib.mkOption {
    type = lib.types.attrsOf lib.types.ints.u32;
    internal = true;
    inherit description;
  };
in
{
  options.ids = {
    uids = numbers "Numbers of users.";
    gids = numbers "Numbers of groups.";
  };

  config.ids = {
    uids = {
      git = 41;
      messagebus = 4;
      mysql = 84;
      nginx = 60;
      nixbld = 30000;
      nobody = 65534;
      polkituser = 28;
      postgres = 71;
      root = 0;
      rpc = 271;
      systemd-coredump = 151;
      systemd-network = 152;
      systemd-resolve = 153;
      systemd-timesync = 154;
    };
    gids = {
      adm = 55;
      audio = 17;
      cdrom = 24;
      clock = 327;
      dialout = 27;
      disk = 6;
      docker = 131;
      floppy = 18;
      git = 41;
      input = 174;
      keys = 96;
      kmem = 2;
      kvm = 302;
      libvirtd = 67;
      lp = 20;
      messagebus = 4;
      mysql = 84;
      nginx = 60;
      nixbld = 30000;
      nogroup = 65534;
      postgres = 71;
      render = 303;
      root = 0;
      sgx = 304;
      shadow = 318;
      systemd-journal = 62;
      systemd-network = 152;
      systemd-resolve = 153;
      systemd-timesync = 154;
      tape = 25;
      tty = 3;
      users = 100;
      utmp = 29;
      uucp = 19;
      video = 26;
      wheel = 1;
      wwwrun = 54;
    };
  };
}
