# sshd's configuration file, units, user and firewall ports.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkIf optional optionalString;

  cfg = config.services.openssh;
  client = config.programs.ssh;
  text = import ../text/sshd-config.nix { inherit lib; };

  ownModuli = "${cfg.package}/etc/ssh/moduli";

  # Everything but `settings`, before the user's own extraConfig.
  head = [
    "AddressFamily ${if config.networking.enableIPv6 then "any" else "inet"}"
  ]
  ++ map (port: "Port ${toString port}") cfg.ports
  ++ map (
    { addr, port }: "ListenAddress ${addr}${optionalString (port != null) ":${toString port}"}"
  ) cfg.listenAddresses
  ++ optional client.setXAuthLocation "XAuthLocation ${lib.getExe pkgs.xauth}"
  ++ optional cfg.allowSFTP "Subsystem sftp ${cfg.sftpServerExecutable} ${lib.concatStringsSep " " cfg.sftpFlags}"
  ++ [ "AuthorizedKeysFile ${toString cfg.authorizedKeysFiles}" ]
  ++ optional (cfg.authorizedKeysCommand != "none") ''
    AuthorizedKeysCommand ${cfg.authorizedKeysCommand}
    AuthorizedKeysCommandUser ${cfg.authorizedKeysCommandUser}
  ''
  ++ map (key: "HostKey ${key.path}") cfg.hostKeys;

  # Both kinds of unit.
  common = {
    after = [
      "network.target"
      "sshd-keygen.service"
    ];
    wants = mkIf cfg.generateHostKeys [ "sshd-keygen.service" ];
    stopIfChanged = false;
    path = [ cfg.package ];
    # name services NixOS adds; a system without them has no such folder
    environment = lib.optionalAttrs (config.system ? nssModules) {
      LD_LIBRARY_PATH = config.system.nssModules.path;
    };
  };
  sshd = lib.getExe' cfg.package "sshd";

  asks =
    keyword:
    builtins.match "(.*\n)?(\t )*${keyword}[ |\t=\"]+yes.*" "\n${lib.toLower cfg.extraConfig}" != null;
  kerberos = client.package.withKerberos or false;

  sameButForCase = lib.filter (names: lib.length names > 1) (
    lib.attrValues (lib.groupBy lib.toLower (lib.attrNames cfg.settings))
  );

  makeKey = k: ''
    if ! [ -s "${k.path}" ]; then
        if ! [ -h "${k.path}" ]; then
            rm -f "${k.path}"
        fi
        mkdir -p "$(dirname '${k.path}')"
        chmod 0755 "$(dirname '${k.path}')"
        ssh-keygen \
          -t "${k.type}" \
          ${optionalString (k ? bits) "-b ${toString k.bits}"} \
          ${optionalString (k ? comment) "-C '${k.comment}'"} \
          ${optionalString (k.openSSHFormat or false) "-o"} \
          -f "${k.path}" \
          -N ""
    fi
  '';

  root = mode: {
    user = "root";
    group = ":root";
    mode = ":${mode}";
  };
in
{
  config = lib.mkMerge [
    (mkIf cfg.enable {
      users.users.sshd = {
        isSystemUser = true;
        group = "sshd";
        description = "SSH privilege separation user";
      };
      users.groups.sshd = { };

      services.openssh = {
        moduliFile = lib.mkDefault ownModuli;
        sftpServerExecutable = lib.mkDefault "${cfg.package}/libexec/sftp-server";
        extraConfig = lib.mkOrder 0 (lib.concatStringsSep "\n" head);
      };

      environment.etc = {
        "ssh/sshd_config".source = pkgs.writeText "sshd.conf-final" (text.final cfg);
      }
      # OpenSSH's own is where the package of the system has put it already
      // lib.optionalAttrs (cfg.moduliFile != ownModuli) { "ssh/moduli".source = cfg.moduliFile; };

      systemd.tmpfiles.settings.ssh-root-provision = {
        "/root".d- = root "700";
        "/root/.ssh".d- = root "700";
        "/root/.ssh/authorized_keys"."f^" = root "600" // {
          argument = "ssh.authorized_keys.root";
        };
      };

      systemd.sockets.sshd = mkIf cfg.startWhenNeeded {
        description = "SSH Socket";
        wantedBy = [ "sockets.target" ];
        socketConfig = {
          ListenStream =
            if cfg.listenAddresses == [ ] then
              cfg.ports
            else
              lib.concatMap (
                { addr, port }: map (p: "${addr}:${toString p}") (if port == null then cfg.ports else [ port ])
              ) cfg.listenAddresses;
          Accept = true;
          # many attempts must not close the door for everybody
          TriggerLimitIntervalSec = 0;
        };
      };

      systemd.services."sshd@" = common // {
        description = "SSH per-connection Daemon";
        serviceConfig = {
          ExecStart = "-${sshd} -i -D -f /etc/ssh/sshd_config";
          KillMode = "process";
          StandardInput = "socket";
          StandardError = "journal";
        };
      };

      systemd.services.sshd = mkIf (!cfg.startWhenNeeded) (
        common
        // {
          description = "SSH Daemon";
          wantedBy = [ "multi-user.target" ];
          restartTriggers = [ config.environment.etc."ssh/sshd_config".source ];
          serviceConfig = {
            Type = "notify-reload";
            Restart = "always";
            ExecStart = "${sshd} -D -f /etc/ssh/sshd_config";
            KillMode = "process";
          };
        }
      );

      networking.firewall.allowedTCPPorts = lib.optionals cfg.openFirewall cfg.ports;

      security = lib.optionalAttrs (options.security ? pam.services) {
        pam.services.sshd = mkIf (cfg.settings.UsePAM == true) {
          startSession = true;
          showMotd = true;
          unixAuth = cfg.settings.PasswordAuthentication == true;
        };
      };

      assertions = [
        {
          assertion = cfg.settings.X11Forwarding -> client.setXAuthLocation;
          message = "cannot enable X11 forwarding without setting xauth location";
        }
        {
          assertion = asks "kerberosauthentication" -> kerberos;
          message = "cannot enable Kerberos authentication without using a package with Kerberos support";
        }
        {
          assertion = asks "gssapiauthentication" -> kerberos;
          message = "cannot enable GSSAPI authentication without using a package with Kerberos support";
        }
        {
          assertion = sameButForCase == [ ];
          message = "Duplicate sshd config key; does your capitalization match the option's? Duplicate keys: ${
            lib.concatMapStringsSep ", " (names: "(${lib.concatStringsSep ", " names})") sameButForCase
          }";
        }
      ]
      ++ map (l: {
        assertion = l.addr != null;
        message = "addr must be specified in each listenAddresses entry";
      }) cfg.listenAddresses;
    })

    (mkIf cfg.generateHostKeys {
      systemd.services.sshd-keygen = {
        description = "SSH Host Keys Generation";
        wantedBy = [ "multi-user.target" ];
        unitConfig.ConditionFileNotEmpty = map (k: "|!${k.path}") cfg.hostKeys;
        serviceConfig.Type = "oneshot";
        path = [ cfg.package ];
        script = lib.concatMapStrings makeKey cfg.hostKeys;
      };
    })
  ];
}
