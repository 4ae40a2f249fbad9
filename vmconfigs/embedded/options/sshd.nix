# services.openssh: the ssh server, sshd(8).
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  cfg = config.services.openssh;

  path = name: [
    "services"
    "openssh"
    name
  ];
  setting =
    name:
    path "settings"
    ++ [
      name
    ];

  # Options of before 23.05, which now are settings.
  nowSettings = {
    kbdInteractiveAuthentication = "KbdInteractiveAuthentication";
    passwordAuthentication = "PasswordAuthentication";
    useDns = "UseDns";
    permitRootLogin = "PermitRootLogin";
    logLevel = "LogLevel";
    macs = "Macs";
    ciphers = "Ciphers";
    kexAlgorithms = "KexAlgorithms";
    gatewayPorts = "GatewayPorts";
    forwardX11 = "X11Forwarding";
  };

  bool =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
  strings =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };

  listenAddress.options = {
    addr = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Name or address; an IPv6 address in brackets.";
    };
    port = mkOption {
      type = types.nullOr types.port;
      default = null;
      description = "Port; each of `ports` if null.";
    };
  };
in
{
  imports = [
    (lib.mkAliasOptionModule [ "services" "sshd" "enable" ] (path "enable"))
    (lib.mkAliasOptionModule (path "knownHosts") [
      "programs"
      "ssh"
      "knownHosts"
    ])
    (lib.mkRenamedOptionModule (path "challengeResponseAuthentication") (
      path "kbdInteractiveAuthentication"
    ))
    (lib.mkRemovedOptionModule (path "banner") "Use services.openssh.settings.Banner instead.")
  ]
  ++ lib.mapAttrsToList (old: new: lib.mkRenamedOptionModule (path old) (setting new)) nowSettings;

  options.services.openssh = {
    enable = bool false "Whether others may log in over SSH.";
    package = mkOption {
      type = types.package;
      default = config.programs.ssh.package;
      description = "Which OpenSSH.";
    };
    startWhenNeeded = bool false "Whether systemd listens and starts one sshd a connection.";
    allowSFTP = bool true "Whether `sftp` and `sshfs` work.";
    sftpServerExecutable = mkOption {
      type = types.str;
      description = "Path of the server for sftp, or `internal-sftp`.";
    };
    sftpFlags = strings "Arguments of the server for sftp.";
    ports = mkOption {
      type = types.listOf types.port;
      default = [ 22 ];
      description = "TCP ports to listen on.";
    };
    openFirewall = bool true "Whether the firewall lets `ports` through.";
    listenAddresses = mkOption {
      type = types.listOf (types.submodule listenAddress);
      default = [ ];
      description = "Addresses to listen on; all, if empty. Not opened in the firewall.";
    };
    hostKeys = mkOption {
      type = types.listOf types.attrs;
      default = [
        {
          type = "rsa";
          bits = 4096;
          path = "/etc/ssh/ssh_host_rsa_key";
        }
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
      description = "Host keys: `path`, `type`, and `bits`, `comment`, `openSSHFormat` where wanted ({manpage}`ssh-keygen(1)`).";
    };
    generateHostKeys = bool cfg.enable "Whether host keys that are missing are made.";
    enableRecommendedAlgorithms = bool true "Whether NixOS's choice of algorithms goes before OpenSSH's.";
    authorizedKeysFiles = strings "More files of authorized keys, absolute or below the home; `%u`, `%h` as in {manpage}`sshd_config(5)`.";
    authorizedKeysInHomedir = bool true "Whether `~/.ssh/authorized_keys` counts.";
    authorizedKeysCommand = mkOption {
      type = types.str;
      default = "none";
      description = "Program that prints a user's authorized keys.";
    };
    authorizedKeysCommandUser = mkOption {
      type = types.str;
      default = "nobody";
      description = "Who runs it.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Text of {file}`sshd_config` after the settings.";
    };
    moduliFile = mkOption {
      type = types.path;
      description = "The file {file}`/etc/ssh/moduli`; OpenSSH's own by default.";
    };
  };
}
