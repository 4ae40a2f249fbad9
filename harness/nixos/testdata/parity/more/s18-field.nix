# As people write laptops: many small things at once.
{ config, pkgs, lib, ... }:
with lib;
let
  desktop = "192.168.15.7";
  mkMount = path: { device = "${desktop}:${path}"; fsType = "nfs"; options = [ "nfsvers=4.2" "soft" "timeo=30" "noauto" "x-systemd.automount" "x-systemd.idle-timeout=600" "_netdev" "nofail" ]; };
  script = pkgs.writeShellScriptBin "offload-go" ''
    set -euo pipefail
    ${pkgs.openssh}/bin/ssh -i /etc/nix/builder_key nix-builder@${desktop} "$@"
  '';
in
{
  imports = [ { nix.settings.trusted-substituters = [ "http://${desktop}:5000" ]; } ];
  fileSystems = listToAttrs (map (p: nameValuePair "/remote${p}" (mkMount p)) [ "/nix/store" "/var/lib/nix-offload" ]);
  nix = {
    distributedBuilds = mkDefault true;
    buildMachines = singleton { hostName = desktop; systems = [ "x86_64-linux" "i686-linux" ]; maxJobs = 4; speedFactor = 2; supportedFeatures = [ "nixos-test" "benchmark" "big-parallel" "kvm" ]; sshUser = "nix-builder"; sshKey = "/etc/nix/builder_key"; protocol = "ssh-ng"; };
    settings = mkMerge [ { substituters = mkBefore [ "http://${desktop}:5000" ]; trusted-public-keys = [ "cache.local:AAAA=" ]; } (mkIf config.nix.distributedBuilds { builders-use-substitutes = true; fallback = mkForce true; max-jobs = mkDefault 0; }) { narinfo-cache-negative-ttl = 0; } ];
  };
  programs.ssh.extraConfig = mkAfter ''
    Host ${desktop}
      IdentityFile /etc/nix/builder_key
      StrictHostKeyChecking accept-new
  '';
  programs.git = { enable = true; config.safe.directory = [ "/etc/nixos" "/srv" ]; };
  programs.mosh.enable = true;
  programs.tmux = { enable = true; keyMode = "vi"; };
  environment.systemPackages = with pkgs; [ script nfs-utils htop (writeScriptBin "raw" "#!/bin/sh\necho") ];
  environment.shellAliases = { rebuild = "nixos-rebuild switch"; ".." = "cd .."; };
  systemd.services.offload-watch = { description = "Watch ${desktop}"; after = [ "network-online.target" ]; wants = [ "network-online.target" ]; wantedBy = [ "multi-user.target" ]; path = with pkgs; [ iputils util-linux ]; serviceConfig = { Type = "simple"; Restart = "always"; RestartSec = "30s"; } // optionalAttrs true { Nice = 10; }; script = "while true; do ping -c1 ${desktop} || umount -l /remote/nix/store; sleep 60; done"; };
  systemd.tmpfiles.rules = map (d: "d ${d} 0755 root root -") [ "/remote" "/remote/nix" ];
  networking.firewall = { allowedTCPPorts = mkIf true [ 22 ]; extraCommands = optionalString true "iptables -A nixos-fw -s ${desktop} -j nixos-fw-accept"; };
  networking.hosts.${desktop} = [ "desktop" "cache" ];
  services.logind.settings.Login.HandleLidSwitch = "suspend";
  powerManagement.resumeCommands = "systemctl restart offload-watch";
  security.sudo.extraRules = [ { groups = [ "wheel" ]; commands = [ { command = "${pkgs.util-linux}/bin/umount"; options = [ "NOPASSWD" ]; } ]; } ];
  boot.kernel.sysctl = mapAttrs (_: mkDefault) { "vm.dirty_ratio" = 10; "net.ipv4.tcp_keepalive_time" = 60; };
  boot.binfmt.emulatedSystems = [ "aarch64-linux" ];
  users.users.cypher = { isNormalUser = true; extraGroups = [ "wheel" "docker" ] ++ optional config.networking.networkmanager.enable "networkmanager"; packages = [ script ]; };
  networking.networkmanager.enable = true;
  time.timeZone = mkDefault "UTC"; i18n.defaultLocale = "pt_BR.UTF-8"; console.keyMap = mkForce "br-abnt2"; services.fstrim.enable = true; zramSwap.enable = true; hardware.enableRedistributableFirmware = true; services.thermald.enable = true;
}
