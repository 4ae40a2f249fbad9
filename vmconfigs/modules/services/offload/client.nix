# What a laptop needs to build on the desktop: the machine Nix sends builds to,
# the daemon's SSH, the desktop's cache, and (optionally) its NFS shares.
#
# Internal: `laptop-offload-client.nix` and `laptop-builder-client.nix` are the
# two faces of it. Where both are enabled, what they say must agree.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.offload.client;
  command = import ./command.nix { inherit lib pkgs; };
  nix = config.nix.package;

  cacheURL = "http://${cfg.desktopIP}:${toString cfg.cachePort}";

  # The client's own, so that ssh never needs /root/.ssh, which NixOS has only
  # where sshd is enabled.
  stateDirectory = "/var/lib/nix-offload-client";
  knownHosts = "${stateDirectory}/known_hosts";

  shares = [
    {
      where = "/nix/store-remote";
      what = "${cfg.desktopIP}:/nix/store";
      mode = "ro";
    }
    {
      where = "/var/lib/nix-offload-remote";
      what = "${cfg.desktopIP}:/var/lib/nix-offload";
      mode = "rw";
    }
  ];

  # A desktop that is away must cost neither the boot (nofail, noauto: mounted
  # at first use) nor a hang (soft: I/O fails after about 30 s, instead of
  # never). NFSv4.2 needs port 2049 only. See nfs(5), systemd.mount(5).
  mountOptions = share: [
    share.mode
    "nofail"
    "noauto"
    "_netdev"
    "x-systemd.automount"
    "x-systemd.idle-timeout=600"
    "x-systemd.mount-timeout=10s"
    "nfsvers=4.2"
    "soft"
    "timeo=50"
    "retrans=2"
    "nosuid"
    "nodev"
    "noatime"
  ];

  settings = {
    DESKTOP_IP = cfg.desktopIP;
    LAPTOP_IP = if cfg.laptopIP == null then "" else cfg.laptopIP;
    SSH_PORT = "22";
    CACHE_PORT = toString cfg.cachePort;
    NFS_PORT = "2049";
    CACHE_URL = cacheURL;
    BUILDER_USER = cfg.builderUser;
    BUILDER_KEY = cfg.builderKeyPath;
    KNOWN_HOSTS = if cfg.desktopHostKey == null then knownHosts else "/etc/ssh/ssh_known_hosts";
    # Lines of "mount point, source, ro or rw".
    SHARES = lib.optionalString cfg.mountShares (
      lib.concatMapStringsSep "\n" (s: "${s.where} ${s.what} ${s.mode}") shares
    );
  };

  inputs = [
    nix
    pkgs.curl
    pkgs.findutils
    pkgs.iputils
    pkgs.openssh
    pkgs.systemd
    pkgs.util-linux
  ];

  mk =
    name: runtimeInputs:
    command {
      inherit name settings runtimeInputs;
      role = "laptop";
    };

  status = mk "offload-status" inputs;
  testBuild = mk "offload-test-build" inputs;
  setup = mk "offload-setup" (
    inputs
    ++ [
      status
      testBuild
    ]
  );
  mount = mk "offload-mount" inputs;
  unmount = mk "offload-unmount" inputs;
in
{
  imports = [ ./caches.nix ];

  options.services.offload.client = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      internal = true;
      description = "Whether this machine offloads its builds.";
    };
    desktopIP = lib.mkOption {
      type = lib.types.str;
      internal = true;
      description = "The desktop's address.";
    };
    laptopIP = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      internal = true;
      description = "This machine's own address, where it is meant to have a fixed one.";
    };
    builderUser = lib.mkOption {
      type = lib.types.str;
      default = "nix-builder";
      internal = true;
      description = "User on the desktop who builds.";
    };
    builderKeyPath = lib.mkOption {
      type = lib.types.str;
      default = "/etc/nix/builder_key";
      internal = true;
      description = "Private SSH key of this machine's Nix daemon.";
    };
    cachePort = lib.mkOption {
      type = lib.types.port;
      default = 5000;
      internal = true;
      description = "Port of the desktop's cache.";
    };
    desktopHostKey = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      internal = true;
      description = "The desktop's SSH host key, or null to pin it at first contact.";
    };
    desktopJobs = lib.mkOption {
      type = lib.types.ints.positive;
      default = 4;
      internal = true;
      description = "Builds sent to the desktop at the same time.";
    };
    systems = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ pkgs.stdenv.hostPlatform.system ];
      internal = true;
      description = "Platforms the desktop builds for.";
    };
    supportedFeatures = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [
        "nixos-test"
        "benchmark"
        "big-parallel"
        "kvm"
      ];
      internal = true;
      description = "System features the desktop offers.";
    };
    mountShares = lib.mkOption {
      type = lib.types.bool;
      default = false;
      internal = true;
      description = "Whether to mount the desktop's store and its shared directory.";
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        # Without distributedBuilds NixOS writes an empty `builders`, whatever
        # stands in buildMachines or in a weaker definition.
        nix.distributedBuilds = lib.mkDefault true;
        nix.buildMachines = [
          {
            hostName = cfg.desktopIP;
            protocol = "ssh-ng";
            sshUser = cfg.builderUser;
            sshKey = cfg.builderKeyPath;
            inherit (cfg) systems supportedFeatures;
            maxJobs = cfg.desktopJobs;
            speedFactor = 2;
          }
        ];

        # The desktop fetches what it can itself, rather than have this machine
        # upload it. `max-jobs` stays what it is (NixOS: "auto"): Nix asks the
        # desktop first anyway, and builds here when it is away or full.
        nix.settings.builders-use-substitutes = lib.mkOverride 1100 true;

        services.offload.caches.${cacheURL} = { };

        environment.systemPackages = [
          status
          testBuild
          setup
        ];

        systemd.tmpfiles.rules = [ "d ${stateDirectory} 0755 root root -" ];

        # Only for the daemon's logins (`user`): the people of this machine keep
        # their own keys and settings for the same host. First in the file,
        # because ssh takes the first value it finds; `Match all` ends the block
        # for whatever stands behind it. See ssh_config(5).
        programs.ssh.extraConfig = lib.mkBefore ''
          Match host ${cfg.desktopIP} user ${cfg.builderUser}
            BatchMode yes
            IdentityFile ${cfg.builderKeyPath}
            IdentitiesOnly yes
            IdentityAgent none
            PreferredAuthentications publickey
            # Seconds; the second pair ends a connection to a desktop that fell
            # asleep, and keeps a silent build's alive through a NAT or firewall.
            ConnectTimeout 5
            ConnectionAttempts 1
            ServerAliveInterval 5
            ServerAliveCountMax 3
            # A shared connection to a frozen desktop would hang every new one.
            ControlMaster no
            ControlPath none
            ${
              if cfg.desktopHostKey == null then
                ''
                  # The first key seen is pinned; another one later is refused.
                    StrictHostKeyChecking accept-new
                    UserKnownHostsFile ${knownHosts}''
              else
                ''
                  StrictHostKeyChecking yes
                    UserKnownHostsFile none''
            }
          Match all
        '';

        programs.ssh.knownHosts = lib.mkIf (cfg.desktopHostKey != null) {
          offload-desktop = {
            hostNames = [ cfg.desktopIP ];
            publicKey = cfg.desktopHostKey;
          };
        };
      }

      (lib.mkIf cfg.mountShares {
        boot.supportedFilesystems = [ "nfs" ];

        fileSystems = lib.listToAttrs (
          map (share: {
            name = share.where;
            value = {
              device = share.what;
              fsType = "nfs";
              options = mountOptions share;
            };
          }) shares
        );

        # Drop-ins for the units made from fstab. A few accesses in a row while
        # there is no network would otherwise hit systemd's start limit, and
        # that ends the automount for good: nothing would mount when the desktop
        # returns. See "StartLimitIntervalSec" in systemd.unit(5).
        systemd.mounts = map (share: {
          inherit (share) what where;
          overrideStrategy = "asDropin";
          unitConfig.StartLimitIntervalSec = 0;
        }) shares;

        environment.systemPackages = [
          mount
          unmount
        ];
      })
    ]
  );
}
