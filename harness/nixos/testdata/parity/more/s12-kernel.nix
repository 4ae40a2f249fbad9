# boot and kernel.
{ lib, pkgs, config, ... }:
{
  boot = {
    kernel.sysctl = { "net.ipv4.ip_forward" = true; "vm.swappiness" = 10; "net.core.rmem_max" = 5000000; "kernel.printk" = "3 4 1 3"; "a.b" = null; "net.ipv6.conf.all.forwarding" = false; "fs.inotify.max_user_watches" = lib.mkForce 99; };
    kernelModules = [ "kvm-intel" "nfs" "loop" ]; kernelParams = [ "quiet" "mitigations=off" "console=ttyS0,115200" ]; blacklistedKernelModules = [ "nouveau" "pcspkr" ]; extraModprobeConfig = "options snd x=1\noptions kvm nested=1\n"; extraModulePackages = [ ]; consoleLogLevel = 7; kernelPackages = pkgs.linuxPackages_latest;
    supportedFilesystems = { nfs = true; ntfs = lib.mkForce false; btrfs = true; }; initrd = { availableKernelModules = [ "ahci" "nvme" ]; kernelModules = [ "dm-snapshot" ]; supportedFilesystems = [ "nfs" ]; verbose = false; }; tmp = { useTmpfs = true; tmpfsSize = "20%"; cleanOnBoot = true; }; loader = { grub.enable = false; timeout = 3; efi.canTouchEfiVariables = true; systemd-boot.configurationLimit = 5; }; growPartition = true; devShmSize = "1g"; runSize = "10%"; postBootCommands = "echo hi"; 
  };
  powerManagement = { enable = true; cpuFreqGovernor = "powersave"; powertop.enable = false; powerUpCommands = "hdparm"; powerDownCommands = "x"; resumeCommands = "y"; scsiLinkPolicy = "min_power"; };
  hardware = { enableRedistributableFirmware = true; cpu.intel.updateMicrocode = false; enableAllFirmware = false; graphics.enable = false; bluetooth.enable = false; };
}
