# programs.gnupg: nixos/modules/programs/gnupg.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.programs.gnupg;
  bin = "${cfg.package}/bin";

  format = pkgs.formats.keyValue { mkKeyValue = lib.generators.mkKeyValueDefault { } " "; };

  bool =
    description:
    mkOption {
      type = types.bool;
      default = false;
      inherit description;
    };

  # One of gpg-agent's sockets: the agent knows it by its descriptor's name.
  agentSocket =
    {
      file,
      purpose ? "",
      manuals ? "man:gpg-agent(1)",
      socketConfig,
    }:
    {
      unitConfig = {
        Description = "GnuPG cryptographic agent ${purpose}";
        Documentation = manuals;
      };
      socketConfig = {
        ListenStream = "%t/gnupg/${file}";
        SocketMode = "0600";
        DirectoryMode = "0700";
      }
      // socketConfig;
      wantedBy = [ "sockets.target" ];
    };
  further = name: {
    FileDescriptorName = name;
    Service = "gpg-agent.service";
  };
in
{
  imports = [
    (lib.mkRemovedOptionModule [ "programs" "gnupg" "agent" "pinentryFlavor" ]
      "Use programs.gnupg.agent.pinentryPackage instead"
    )
  ];

  options.programs.gnupg = {
    package = lib.mkPackageOption pkgs "gnupg" { };
    dirmngr.enable = bool "Whether users have dirmngr, started by its socket.";
    agent = {
      enable = bool "Whether users have a gpg-agent, started by its socket.";
      enableSSHSupport = bool "Whether it is an agent of ssh, too.";
      enableExtraSocket = bool "Whether it has a restricted socket.";
      enableBrowserSocket = bool "Whether it has a socket for browsers.";
      pinentryPackage = mkOption {
        type = types.nullOr types.package;
        default = pkgs.pinentry-curses;
        description = "What asks for passphrases.";
      };
      settings = mkOption {
        inherit (format) type;
        default = { };
        description = "Settings of the agent, gpg-agent(1).";
      };
    };
  };

  config = mkIf cfg.agent.enable {
    programs.gnupg.agent.settings = mkIf (cfg.agent.pinentryPackage != null) {
      pinentry-program = lib.getExe cfg.agent.pinentryPackage;
    };
    environment.etc."gnupg/gpg-agent.conf".source = format.generate "gpg-agent.conf" cfg.agent.settings;
    environment.systemPackages = [ cfg.package ];

    systemd.user = {
      services.gpg-agent = {
        unitConfig = {
          Description = "GnuPG cryptographic agent and passphrase cache";
          Documentation = "man:gpg-agent(1)";
          Requires = [ "sockets.target" ];
        };
        serviceConfig = {
          ExecStart = "${bin}/gpg-agent --supervised";
          ExecReload = "${bin}/gpgconf --reload gpg-agent";
        };
      };
      sockets.gpg-agent = agentSocket {
        file = "S.gpg-agent";
        purpose = "and passphrase cache";
        socketConfig.FileDescriptorName = "std";
      };
      sockets.gpg-agent-ssh = mkIf cfg.agent.enableSSHSupport (agentSocket {
        file = "S.gpg-agent.ssh";
        purpose = "(ssh-agent emulation)";
        manuals = "man:gpg-agent(1) man:ssh-add(1) man:ssh-agent(1) man:ssh(1)";
        socketConfig = further "ssh";
      });
      sockets.gpg-agent-extra = mkIf cfg.agent.enableExtraSocket (agentSocket {
        file = "S.gpg-agent.extra";
        purpose = "and passphrase cache (restricted)";
        socketConfig = further "extra";
      });
      sockets.gpg-agent-browser = mkIf cfg.agent.enableBrowserSocket (agentSocket {
        file = "S.gpg-agent.browser";
        purpose = "and passphrase cache (access for web browsers)";
        socketConfig = further "browser";
      });

      services.dirmngr = mkIf cfg.dirmngr.enable {
        unitConfig = {
          Description = "GnuPG network certificate management daemon";
          Documentation = "man:dirmngr(8)";
          Requires = "dirmngr.socket";
        };
        serviceConfig = {
          ExecStart = "${bin}/dirmngr --supervised";
          ExecReload = "${bin}/gpgconf --reload dirmngr";
        };
      };
      sockets.dirmngr = mkIf cfg.dirmngr.enable {
        unitConfig = {
          Description = "GnuPG network certificate management daemon";
          Documentation = "man:dirmngr(8)";
        };
        socketConfig = {
          ListenStream = "%t/gnupg/S.dirmngr";
          SocketMode = "0600";
          DirectoryMode = "0700";
        };
        wantedBy = [ "sockets.target" ];
      };
    };

    environment.interactiveShellInit = ''
      # Bind gpg-agent to this TTY if gpg commands are used.
      export GPG_TTY=$(tty)
    '';
    environment.extraInit = mkIf cfg.agent.enableSSHSupport ''
      if [ -z "$SSH_AUTH_SOCK" ]; then
        export SSH_AUTH_SOCK=$(${bin}/gpgconf --list-dirs agent-ssh-socket)
      fi
    '';
    # ssh tells the agent which terminal to ask on, ssh_config(5), `Match exec`.
    programs.ssh.extraConfig = lib.optionalString cfg.agent.enableSSHSupport ''
      # The SSH agent protocol doesn't have support for changing TTYs; however we
      # can simulate this with the `exec` feature of openssh (see ssh_config(5))
      # that hooks a command to the shell currently running the ssh program.
      Match host * exec "${pkgs.runtimeShell} -c '${bin}/gpg-connect-agent --quiet updatestartuptty /bye >/dev/null 2>&1'"
    '';

    assertions = [
      {
        assertion = cfg.agent.enableSSHSupport -> !config.programs.ssh.startAgent;
        message = "You can't use ssh-agent and GnuPG agent with SSH support enabled at the same time!";
      }
    ];
  };
}
