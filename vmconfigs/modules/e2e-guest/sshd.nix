# The harness's own way in: an sshd of its own, with its own keys and port, bound
# to the management cable. Its keys come with each boot, as credentials
# (systemd.system-credentials(7)), so that no image and no store holds them. In a
# container each connection has an sshd of its own, which the engine starts by the
# path /etc/offload-e2e/sshd, and the keys are files that the harness brings.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.programs.ssh) package;
  inherit (config.boot) isContainer;

  # What the harness runs on a guest; after NixOS's own, so that nothing of the
  # configuration's is hidden. Sessions of users never see it.
  tools = pkgs.buildEnv {
    name = "offload-e2e-tools";
    paths = [
      config.nix.package
      package
      pkgs.bashInteractive
      pkgs.conntrack-tools
      pkgs.coreutils
      pkgs.curl
      pkgs.diffutils
      pkgs.e2fsprogs
      pkgs.findutils
      pkgs.gawk
      pkgs.gnugrep
      pkgs.gnused
      pkgs.iproute2
      pkgs.iptables
      pkgs.iputils
      pkgs.jq
      pkgs.nfs-utils
      pkgs.nftables
      pkgs.procps
      pkgs.strace
      pkgs.util-linux
      config.systemd.package
    ]
    # Where the kernel has no NFS: a server outside it, and a client to prove it by.
    ++ lib.optionals isContainer [
      pkgs.libnfs
      pkgs.nfs-ganesha
    ];
    pathsToLink = [ "/bin" ];
    ignoreCollisions = true;
  };

  path = lib.concatStringsSep ":" [
    "/run/wrappers/bin"
    "/run/current-system/sw/bin"
    "${tools}/bin"
  ];

  place =
    if isContainer then
      ''
        HostKey /usr/lib/offload-e2e/host_key
        AuthorizedKeysFile /usr/lib/offload-e2e/authorized_keys
      ''
    else
      ''
        Port 2222
        ListenAddress 192.0.2.2
      '';

  configuration = pkgs.writeText "offload-e2e-sshd_config" ''
    ${place}
    PermitRootLogin prohibit-password
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    # Without PAM a root whose password is locked, as NixOS has it, may not log in.
    UsePAM yes
    PAMServiceName offload-e2e
    StrictModes no
    MaxSessions 64
    MaxStartups 64
    LoginGraceTime 60
    Ciphers aes128-gcm@openssh.com,chacha20-poly1305@openssh.com
    Subsystem sftp internal-sftp
    PidFile none
    # The environment of the configuration under test is none of the harness's.
    SetEnv PATH=${path} NOSYSBASHRC=1
  '';

  permit = "${pkgs.linux-pam}/lib/security/pam_permit.so";
in
{
  security.pam.services.offload-e2e.text = ''
    account required ${permit}
    session required ${permit}
  '';

  # sshd's privilege separation; NixOS has the user where services.openssh is enabled.
  users = lib.mkIf (!config.services.openssh.enable) {
    users.sshd = {
      isSystemUser = true;
      group = "sshd";
      description = "SSH privilege separation user";
    };
    groups.sshd = { };
  };

  environment.etc = lib.mkIf isContainer {
    "offload-e2e/sshd".source = "${package}/bin/sshd";
    "offload-e2e/sshd_config".source = configuration;
    # What of it is in /usr/bin: see ../../guests/rootfs.nix
    "offload-e2e/tools".source = "${tools}/bin";
  };

  systemd.services.offload-e2e-sshd = lib.mkIf (!isContainer) {
    description = "Management sshd of the test harness";
    wantedBy = [ "sysinit.target" ];
    wants = [ "offload-e2e-mgmt0.service" ];
    after = [
      "local-fs.target"
      "offload-e2e-mgmt0.service"
      "systemd-tmpfiles-setup.service"
    ];
    before = [ "shutdown.target" ];
    conflicts = [ "shutdown.target" ];
    unitConfig.DefaultDependencies = false;
    # A switch must not cut off whoever asked for it.
    restartIfChanged = false;
    stopIfChanged = false;
    serviceConfig = {
      ImportCredential = "offload-e2e.*";
      ExecStart = lib.concatStringsSep " " [
        "${package}/bin/sshd -D -e -f ${configuration}"
        "-h %d/offload-e2e.host_key"
        "-o AuthorizedKeysFile=%d/offload-e2e.authorized_keys"
      ];
      Restart = "always";
      RestartSec = 1;
      KillMode = "process";
      OOMScoreAdjust = -1000;
    };
  };
}
