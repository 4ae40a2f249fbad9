# NFS server and client, settings, idmapd, mounts of each kind.
{ lib, ... }:
{
  services.nfs = {
    server = { enable = true; nproc = 16; hostName = "192.0.2.1"; createMountPoints = true; exports = "/srv/a *(ro)\n/srv/b 192.0.2.0/24(rw,no_root_squash)\n"; mountdPort = 4002; lockdPort = 4001; statdPort = 4000; };
    idmapd.settings = { General.Domain = "lan"; Translation.Method = lib.mkForce "static,nsswitch"; Static."a@b" = "root"; };
    settings = { nfsd.vers3 = false; nfsd."vers4.2" = true; mountd.manage-gids = true; nfsmount.retrans = 5; };
  };
  fileSystems = {
    "/mnt/a" = { device = "server:/a"; fsType = "nfs"; options = [ "nfsvers=4.2" "soft" "x-systemd.automount" "noauto" "x-systemd.idle-timeout=600" ]; };
    "/mnt/b" = { device = "server:/b"; fsType = "nfs4"; options = [ "ro" ]; noCheck = true; };
    "/bind" = { device = "/srv/a"; fsType = "none"; options = [ "bind" ]; depends = [ "/mnt/a" ]; };
    "/bind2" = { device = "/srv"; fsType = "none"; options = [ "bind" "ro" ]; };
    "/tmp" = { device = "tmpfs"; fsType = "tmpfs"; options = [ "size=1G" "mode=1777" ]; };
    "/data" = { label = "data"; fsType = "ext4"; autoResize = true; autoFormat = true; neededForBoot = true; };
    "/space dir" = { device = "/dev/sd b"; fsType = "xfs"; };
    "/ov" = { overlay = { lowerdir = [ "/l1" "/l2" ]; upperdir = "/u"; workdir = "/w"; }; };
    "/boot" = { device = "/dev/disk/by-uuid/ABCD"; fsType = "vfat"; options = [ "umask=0077" ]; };
    "/btr" = { device = "/dev/vdb"; fsType = "btrfs"; options = [ "subvol=x" "compress=zstd" ]; };
    "/off" = { enable = false; device = "x"; fsType = "ext4"; };
    "/" = { device = "/dev/vda1"; fsType = "ext4"; options = [ "noatime" ]; };
  };
  swapDevices = [ { device = "/dev/vdc"; priority = 5; } { device = "/var/swap"; size = 1024; options = [ "nofail" ]; } { label = "sw"; discardPolicy = "once"; } ];
}
