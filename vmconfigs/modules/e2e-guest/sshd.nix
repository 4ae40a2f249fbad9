# The harness's own way in: an sshd of its own, with its own keys and port, bound
# to the management cable. Its keys come with each boot, as credentials
# (systemd.system-credentials(7)), so that no image and no store holds them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.programs.ssh) package;

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
    ];
    pathsToLink = [ "/bin" ];
    ignoreCollisions = true;
  };

  path = lib.concatStringsSep ":" [
    "/run/wrappers/bin"
    "/run/current-system/sw/bin"
    "${tools}/bin"
  ];

  configuration = pkgs.writeText "offload-e2e-sshd_config" ''
    Port 2222
    ListenAddress 192.0.2.2
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
lib.mkIf (!config.boot.isContainer) {
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

  systemd.services.offload-e2e-sshd = {
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
