# programs.ssh: the ssh client of the whole system, ssh_config(5), known hosts, the agent.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    concatStringsSep
    mkOption
    optional
    optionalString
    types
    ;

  cfg = config.programs.ssh;
  xserver = config.services.xserver.enable or false;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  nullOrNames = opt (types.nullOr (types.listOf types.str)) null;

  knownHost =
    { name, config, ... }:
    {
      options = {
        certAuthority = opt types.bool false "Whether the key is that of an authority that signs host keys.";
        hostNames = opt (types.listOf types.str) (
          [ name ] ++ config.extraHostNames
        ) "Names and addresses of the host; patterns are allowed.";
        extraHostNames = opt (types.listOf types.str) [ ] "Names and addresses beside the attribute's name.";
        publicKey = opt (types.nullOr types.str) null "The host's public key.";
        publicKeyFile = opt (types.nullOr types.path) null "File of the host's public key, read now.";
      };
    };

  knownHostLine =
    h:
    assert h.hostNames != [ ];
    optionalString h.certAuthority "@cert-authority "
    + concatStringsSep "," h.hostNames
    + " "
    + (if h.publicKey != null then h.publicKey else builtins.readFile h.publicKeyFile);

  knownHostsFiles = [ "/etc/ssh/ssh_known_hosts" ] ++ map (f: "${f}") cfg.knownHostsFiles;

  list = keyword: values: optional (values != null && values != [ ]) "${keyword} ${concatStringsSep "," values}";
  nullable = keyword: values: optional (values != null) "${keyword} ${concatStringsSep "," values}";

  askPassword = pkgs.writeScript "ssh-askpass-wrapper" ''
    #! ${pkgs.runtimeShell} -e
    eval export $(systemctl --user show-environment | ${lib.getExe pkgs.gnugrep} -E '^(DISPLAY|WAYLAND_DISPLAY|XAUTHORITY)=')
    exec ${cfg.askPassword} "$@"
  '';
in
{
  options.programs.ssh = {
    enableAskPassword = opt types.bool xserver "Whether a window asks for passwords.";
    systemd-ssh-proxy.enable = opt types.bool true "Whether systemd's ssh_config snippet is read (`ssh .host`, vsock).";
    askPassword = mkOption {
      type = types.str;
      default = "${pkgs.x11_ssh_askpass}/libexec/x11-ssh-askpass";
      description = "Program that asks.";
    };
    forwardX11 = opt (types.nullOr types.bool) false "Whether X11 is forwarded; null says nothing about it.";
    setXAuthLocation = mkOption {
      type = types.bool;
      description = "Whether to say where {command}`xauth` is.";
    };
    pubkeyAcceptedKeyTypes = opt (types.listOf types.str) [ ] "Kinds of user keys that are offered.";
    hostKeyAlgorithms = opt (types.listOf types.str) [ ] "Kinds of host keys that are accepted, best first.";
    extraConfig = opt types.lines "" "Text at the top of {file}`ssh_config`.";
    startAgent = opt types.bool false "Whether each user gets an agent.";
    agentTimeout = opt (types.nullOr types.str) null "How long the agent keeps a key.";
    agentPKCS11Whitelist = opt (types.nullOr types.str) null "Patterns of PKCS#11 libraries the agent may load.";
    package = lib.mkPackageOption pkgs "openssh" { };
    knownHosts = mkOption {
      type = types.attrsOf (types.submodule knownHost);
      default = { };
      description = "Hosts whose keys every user knows.";
    };
    knownHostsFiles = opt (types.listOf types.path) [ ] "More files of known hosts.";
    kexAlgorithms = nullOrNames "Key exchange algorithms.";
    ciphers = nullOrNames "Ciphers.";
    macs = nullOrNames "Message authentication codes.";
  };

  config = {
    programs.ssh.setXAuthLocation = lib.mkDefault (
      xserver || cfg.forwardX11 == true || config.services.openssh.settings.X11Forwarding
    );

    assertions = [
      {
        assertion = cfg.forwardX11 == true -> cfg.setXAuthLocation;
        message = "cannot enable X11 forwarding without setting XAuth location";
      }
    ]
    ++ lib.mapAttrsToList (name: host: {
      assertion = (host.publicKey == null) != (host.publicKeyFile == null);
      message = "knownHost ${name} must contain either a publicKey or publicKeyFile";
    }) cfg.knownHosts;

    environment.corePackages = [ cfg.package ];

    environment.etc."ssh/ssh_config".text = concatStringsSep "\n" (
      optional (cfg.extraConfig != "") cfg.extraConfig
      ++ [ "# Generated options from other settings\nHost *\n" ]
      ++ optional cfg.systemd-ssh-proxy.enable ''
        # See systemd-ssh-proxy(1)
        Include ${config.systemd.package}/lib/systemd/ssh_config.d/20-systemd-ssh-proxy.conf
      ''
      ++ [ "GlobalKnownHostsFile ${concatStringsSep " " knownHostsFiles}" ]
      ++ optional (!config.networking.enableIPv6) "AddressFamily inet"
      ++ optional cfg.setXAuthLocation "XAuthLocation ${pkgs.xauth}/bin/xauth"
      ++ optional (cfg.forwardX11 != null) "ForwardX11 ${lib.boolToYesNo cfg.forwardX11}"
      ++ list "PubkeyAcceptedKeyTypes" cfg.pubkeyAcceptedKeyTypes
      ++ list "HostKeyAlgorithms" cfg.hostKeyAlgorithms
      ++ nullable "KexAlgorithms" cfg.kexAlgorithms
      ++ nullable "Ciphers" cfg.ciphers
      ++ nullable "MACs" cfg.macs
    );

    environment.etc."ssh/ssh_known_hosts".text =
      lib.concatMapStringsSep "\n" knownHostLine (lib.attrValues cfg.knownHosts) + "\n";

    systemd.user.services.ssh-agent = lib.mkIf cfg.startAgent {
      description = "SSH Agent";
      wantedBy = [ "default.target" ];
      unitConfig.ConditionUser = "!@system";
      serviceConfig = {
        ExecStartPre = "${pkgs.coreutils}/bin/rm -f %t/ssh-agent";
        ExecStart =
          "${cfg.package}/bin/ssh-agent "
          + optionalString (cfg.agentTimeout != null) "-t ${cfg.agentTimeout} "
          + optionalString (cfg.agentPKCS11Whitelist != null) "-P ${cfg.agentPKCS11Whitelist} "
          + "-a %t/ssh-agent";
        StandardOutput = "null";
        Type = "forking";
        Restart = "on-failure";
        SuccessExitStatus = "0 2";
      };
      environment.SSH_ASKPASS = optionalString cfg.enableAskPassword askPassword;
      # without it the agent never runs the program that asks
      environment.DISPLAY = "fake";
    };

    environment.extraInit = optionalString cfg.startAgent ''
      if [ -z "$SSH_AUTH_SOCK" -a -n "$XDG_RUNTIME_DIR" ]; then
        export SSH_AUTH_SOCK="$XDG_RUNTIME_DIR/ssh-agent"
      fi
    '';

    environment.variables.SSH_ASKPASS = optionalString cfg.enableAskPassword cfg.askPassword;
  };
}
