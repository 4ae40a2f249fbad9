# A machine that QEMU boots by kernel and initrd, with one disk that has no
# partitions; or a container, which has none of it.
{ config, lib, ... }:
lib.mkIf (!config.boot.isContainer) {
  boot = {
    # Consoles: where panics go.
    kernelParams = [
      "console=ttyS0"
      "net.ifnames=0"
      "panic=-1"
      "mitigations=off"
      "nowatchdog"
      "audit=0"
      "random.trust_cpu=on"
      "systemd.log_target=journal"
    ];
    # The cables' driver is loaded after the initrd, so that cables.nix names them.
    initrd.availableKernelModules = [
      "virtio_pci"
      "virtio_blk"
      "ext4"
    ];
    loader.grub.enable = lib.mkDefault false;
  };

  fileSystems."/" = {
    device = "/dev/vda";
    fsType = "ext4";
    # The image is as small as its content, the disk it is on is not.
    autoResize = true;
  };
}
