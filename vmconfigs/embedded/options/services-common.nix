# Services that every NixOS or many a host has and that have no part in what is
# tested here. The guest has Debian's own; the options are accepted.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  bool = default: mkOption {
    type = types.bool;
    inherit default;
    description = "Accepted; the guest has Debian's own.";
  };
  option = type: default: mkOption {
    inherit type default;
    description = "Accepted; the guest has Debian's own.";
  };
in
{
  options = {
    services = {
      dbus.enable = bool true;
      dbus.packages = option (types.listOf types.path) [ ];
      dbus.implementation = option (types.enum [
        "dbus"
        "broker"
      ]) "broker";
      udev.enable = bool true;
      udev.packages = option (types.listOf types.path) [ ];
      udev.extraRules = mkOption {
        type = types.lines;
        default = "";
        description = "Rules, udev(7).";
      };
      fstrim.enable = bool true;
      fstrim.interval = option types.str "weekly";
      logrotate.enable = bool true;
      nscd.enable = bool true;
      qemuGuest.enable = bool false;
      spice-vdagentd.enable = bool false;
      fwupd.enable = bool false;
      thermald.enable = bool false;
      upower.enable = bool false;
      tlp.enable = bool false;
      tlp.settings = option (types.attrsOf types.anything) { };
      auto-cpufreq.enable = bool false;
      power-profiles-daemon.enable = bool false;
      acpid.enable = bool false;
      smartd.enable = bool false;
      printing.enable = bool false;
      pipewire.enable = bool false;
      xserver.enable = bool false;
      xserver.xkb.layout = option types.str "us";
      xserver.xkb.variant = option types.str "";
      xserver.videoDrivers = option (types.listOf types.str) [
        "modesetting"
        "fbdev"
      ];
      libinput.enable = bool false;
      blueman.enable = bool false;
      flatpak.enable = bool false;
      locate.enable = bool false;
      getty.autologinUser = option (types.nullOr types.str) null;
      getty.helpLine = option types.lines "";
      haveged.enable = bool false;
      earlyoom.enable = bool false;
      irqbalance.enable = bool false;
    };
    security = {
      polkit.enable = bool false;
      rtkit.enable = bool false;
      googleOsLogin.enable = bool false;
      acme.acceptTerms = bool false;
    };
  };

  config = {
    environment.etc."udev/rules.d/99-local.rules" = lib.mkIf (config.services.udev.extraRules != "") {
      text = config.services.udev.extraRules;
    };
    environment.systemPackages = [ pkgs.dbus ];
  };
}
