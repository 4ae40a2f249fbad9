# The desktop's side of offloading: builds for laptops over SSH, serves its
# store as a signed binary cache, and (with enableNFS) shares it over NFS.
#
#   services.offload-server = { enable = true; enableNFS = true; };
#
# A laptop joins with one line in the builder's authorized_keys, or in
# `authorizedKeys` here.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.offload-server;
  home = "/var/lib/${cfg.builderUser}";
  shared = "/var/lib/nix-offload";

  # Fixed, so that the firewall can let them in: NFSv3 and `showmount -e` need
  # them, NFSv4 only 2049.
  ports = {
    nfs = 2049;
    rpcbind = 111;
    statd = 4000;
    lockd = 4001;
    mountd = 4002;
  };

  command = import ./offload/command.nix { inherit lib pkgs; };

  settings = {
    SERVER_ADDRESS = cfg.address;
    NETWORK = cfg.network;
    SSH_PORT = toString (lib.head config.services.openssh.ports);
    CACHE_PORT = toString cfg.cachePort;
    CACHE_URL = "http://${cfg.address}:${toString cfg.cachePort}";
    CACHE_KEY_NAME = cfg.cacheKeyName;
    CACHE_KEY = cfg.cacheKeyPath;
    CACHE_PUBLIC_KEY = cfg.cachePublicKeyPath;
    BUILDER_USER = cfg.builderUser;
    BUILDER_HOME = home;
    # Lines of "directory, ro or rw".
    EXPORTS = lib.optionalString cfg.enableNFS "/nix/store ro\n${shared} rw";
  };

  inputs = [
    config.nix.package
    pkgs.curl
    pkgs.findutils
    pkgs.nfs-utils
    pkgs.openssh
    pkgs.systemd
    pkgs.util-linux
  ];

  mk =
    name:
    command {
      inherit name settings;
      role = "desktop";
      runtimeInputs = inputs;
    };

  generateCacheKeys = mk "offload-generate-cache-keys";
in
{
  options.services.offload-server = {
    enable = lib.mkEnableOption "building for laptops, and a binary cache for them";

    cachePort = lib.mkOption {
      type = lib.types.port;
      default = 5000;
      description = "TCP port of the binary cache.";
    };

    builderUser = lib.mkOption {
      type = lib.types.str;
      default = "nix-builder";
      description = "System user that laptops log in as. Trusted by Nix: it may import what it built elsewhere.";
    };

    authorizedKeys = lib.mkOption {
      type = lib.types.listOf lib.types.singleLineStr;
      default = [ ];
      example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… nix-builder@laptop-to-desktop" ];
      description = ''
        Public keys of laptops, besides those appended by hand to
        {file}`~/.ssh/authorized_keys` of the builder.
      '';
    };

    cacheKeyPath = lib.mkOption {
      type = lib.types.str;
      default = "/var/cache-priv-key.pem";
      description = ''
        Private key the cache signs with: mode 0600, made at first start if it
        is missing. A new one is made by {command}`offload-generate-cache-keys`.
      '';
    };

    cachePublicKeyPath = lib.mkOption {
      type = lib.types.str;
      default =
        let
          public = builtins.replaceStrings [ "priv" ] [ "pub" ] cfg.cacheKeyPath;
        in
        if public == cfg.cacheKeyPath then "${cfg.cacheKeyPath}.pub" else public;
      defaultText = lib.literalMD "`cacheKeyPath` with `pub` for `priv`";
      description = "The public half, for laptops to trust.";
    };

    cacheKeyName = lib.mkOption {
      type = lib.types.strMatching "[^:[:space:]]+";
      default = "cache.local";
      description = "Name in the key, and thereby in each signature: laptops trust the pair of both.";
    };

    address = lib.mkOption {
      type = lib.types.str;
      default = "192.168.15.7";
      description = "This machine's address on the LAN, where its own commands look for the cache.";
    };

    network = lib.mkOption {
      type = lib.types.str;
      default = "192.168.15.0/24";
      description = ''
        The network whose machines may mount the shares, and are not made to wait
        by sshd after logins that failed.
      '';
    };

    enableNFS = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether to export {file}`/nix/store` read-only and {file}`${shared}`
        read-write over NFS. Laptops' root may write there as root: whoever is
        in `network` is trusted that far.
      '';
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        assertions = [
          {
            assertion = cfg.cachePublicKeyPath != cfg.cacheKeyPath;
            message = "services.offload-server: cachePublicKeyPath and cacheKeyPath are the same file, ${cfg.cacheKeyPath}";
          }
        ];

        # --- the builder ---------------------------------------------------
        users.groups.${cfg.builderUser} = { };
        users.users.${cfg.builderUser} = {
          isSystemUser = true;
          group = cfg.builderUser;
          description = "Builds for laptops";
          inherit home;
          createHome = true;
          # A system user has nologin unless told otherwise: the login would
          # succeed, and every build fail.
          shell = pkgs.bashInteractive;
          openssh.authorizedKeys.keys = cfg.authorizedKeys;
        };

        # sshd's StrictModes wants exactly these owners and modes. `f` creates
        # an empty file once, and never touches what is in it.
        systemd.tmpfiles.rules = [
          "d ${home}/.ssh 0700 ${cfg.builderUser} ${cfg.builderUser} -"
          "f ${home}/.ssh/authorized_keys 0600 ${cfg.builderUser} ${cfg.builderUser} -"
        ];

        services.openssh.enable = true;
        # A laptop whose key is not authorized yet fails a login for each build.
        # sshd would soon turn all of it away, its owner's sessions too
        # (PerSourcePenalties, since OpenSSH 9.8).
        services.openssh.settings = lib.mkIf (builtins.match "[0-9a-fA-F.:]+(/[0-9]+)?" cfg.network != null) {
          PerSourcePenaltyExemptList = lib.mkDefault cfg.network;
        };
        # Last, so that the block ends nobody else's settings.
        services.openssh.extraConfig = lib.mkAfter ''
          Match User ${cfg.builderUser}
            AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
            PubkeyAuthentication yes
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            AllowAgentForwarding no
            AllowTcpForwarding no
            PermitTunnel no
            PermitTTY no
            X11Forwarding no
          Match all
        '';

        # Trusted, because laptops send inputs that nobody signed.
        nix.settings = lib.mkMerge [
          { trusted-users = [ cfg.builderUser ]; }
          # Where the desktop has no internet, each input of a build would
          # otherwise wait for it.
          (import ./offload/nix-settings.nix { inherit lib; })
        ];

        # --- the cache -----------------------------------------------------
        # nix-serve signs as it serves. `secret-key-files` in nix.conf would
        # sign at build time as well, with two drawbacks: paths would carry the
        # old signature after a new key, and a missing key would fail every
        # build on this machine.
        services.nix-serve = {
          enable = true;
          port = cfg.cachePort;
          secretKeyFile = cfg.cacheKeyPath;
          openFirewall = true;
        };

        # systemd hands nix-serve the key as it starts (LoadCredential), so it
        # has to be there by then, and nix-serve restarted after a change.
        systemd.services.offload-cache-keys = {
          description = "Signing key of the binary cache";
          wantedBy = [ "multi-user.target" ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "${generateCacheKeys}/bin/offload-generate-cache-keys --if-missing";
            RuntimeDirectory = "offload-cache-keys";
            ReadWritePaths = [ (builtins.dirOf cfg.cacheKeyPath) ];
            UMask = "0077";
            CapabilityBoundingSet = "";
            LockPersonality = true;
            NoNewPrivileges = true;
            PrivateDevices = true;
            PrivateNetwork = true;
            ProtectClock = true;
            ProtectControlGroups = true;
            ProtectHome = true;
            ProtectKernelLogs = true;
            ProtectKernelModules = true;
            ProtectKernelTunables = true;
            ProtectSystem = "strict";
            RestrictAddressFamilies = [ "AF_UNIX" ];
            RestrictNamespaces = true;
            SystemCallArchitectures = "native";
          };
          environment.HOME = "/run/offload-cache-keys";
        };

        systemd.services.nix-serve = {
          requires = [ "offload-cache-keys.service" ];
          after = [ "offload-cache-keys.service" ];
          serviceConfig = {
            CapabilityBoundingSet = "";
            LockPersonality = true;
            NoNewPrivileges = true;
            PrivateDevices = true;
            ProtectClock = true;
            ProtectControlGroups = true;
            ProtectHome = true;
            ProtectHostname = true;
            ProtectKernelLogs = true;
            ProtectKernelModules = true;
            ProtectKernelTunables = true;
            ProtectSystem = "strict";
            # AF_UNIX is how it asks the Nix daemon: without it nix-cache-info
            # answers, and every narinfo is a 500.
            RestrictAddressFamilies = [
              "AF_INET"
              "AF_INET6"
              "AF_UNIX"
            ];
            RestrictNamespaces = true;
            RestrictRealtime = true;
            RestrictSUIDSGID = true;
            SystemCallArchitectures = "native";
          };
        };

        environment.systemPackages = [
          (mk "offload-server-status")
          (mk "offload-server-test")
          generateCacheKeys
        ];
      }

      # --- the shares ------------------------------------------------------
      (lib.mkIf cfg.enableNFS {
        services.nfs.server = {
          enable = true;
          mountdPort = ports.mountd;
          statdPort = ports.statd;
          lockdPort = ports.lockd;
          # Before nfsd starts: an export whose directory is missing is left
          # out, and the server runs on as if nothing were wrong.
          createMountPoints = true;
          # no_root_squash: it is root on the laptop that writes. See exports(5).
          exports = ''
            /nix/store ${cfg.network}(ro,sync,no_subtree_check)
            ${shared} ${cfg.network}(rw,sync,no_subtree_check,no_root_squash)
          '';
        };

        # After a start nfsd lets nobody open a file until every client has had time to
        # reclaim its locks: 90 s unless told otherwise. These clients have no locks
        # worth a wait, and a laptop should not hang after the desktop's reboot.
        services.nfs.settings.nfsd = {
          grace-time = 10;
          lease-time = 10;
        };

        # Closed to this machine's other users: a laptop's root can leave
        # set-uid programs in it.
        systemd.tmpfiles.rules = [ "d ${shared} 0770 root ${cfg.builderUser} -" ];

        networking.firewall = {
          allowedTCPPorts = lib.attrValues ports;
          allowedUDPPorts = lib.attrValues ports;
        };
      })
    ]
  );
}
