# services.openssh.settings: the keys of sshd_config(5) NixOS knows by name; others are taken as they come.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  setting =
    type: default: description:
    mkOption {
      type = types.nullOr type;
      inherit default description;
    };
  names = types.listOf types.str;

  # NixOS's choice of algorithms, or OpenSSH's own (no line at all).
  algorithms =
    description: list:
    setting names (if config.services.openssh.enableRecommendedAlgorithms then list else null) description;

  # What pkgs.formats.keyValue takes.
  atom =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
      ]
    )
    // {
      description = "atom (null, bool, int, float or string)";
    };

  known = {
    AcceptEnv = setting names null "Environment variables a client may set.";
    AuthorizedPrincipalsFile = setting types.str "none" "Principals accepted in certificates.";
    LogLevel = setting (types.enum [
      "QUIET"
      "FATAL"
      "ERROR"
      "INFO"
      "VERBOSE"
      "DEBUG"
      "DEBUG1"
      "DEBUG2"
      "DEBUG3"
    ]) "INFO" "How much is logged.";
    UsePAM = setting types.bool true "Whether PAM decides too.";
    UseDns = setting types.bool false "Whether the client's name is looked up.";
    X11Forwarding = setting types.bool false "Whether X11 is forwarded.";
    PasswordAuthentication = setting types.bool true "Whether passwords are accepted.";
    PermitRootLogin = setting (types.enum [
      "yes"
      "without-password"
      "prohibit-password"
      "forced-commands-only"
      "no"
    ]) "prohibit-password" "How root may log in.";
    KbdInteractiveAuthentication = setting types.bool true "Whether questions are asked.";
    GatewayPorts = setting types.str "no" "Whether forwarded ports are for others too.";
    KexAlgorithms = algorithms "Key exchange algorithms." [
      "mlkem768x25519-sha256"
      "sntrup761x25519-sha512"
      "sntrup761x25519-sha512@openssh.com"
      "curve25519-sha256"
      "curve25519-sha256@libssh.org"
      "diffie-hellman-group-exchange-sha256"
    ];
    Macs = algorithms "Message authentication codes." [
      "hmac-sha2-512-etm@openssh.com"
      "hmac-sha2-256-etm@openssh.com"
      "umac-128-etm@openssh.com"
    ];
    StrictModes = setting types.bool true "Whether files others could write to are refused.";
    Ciphers = algorithms "Ciphers." [
      "chacha20-poly1305@openssh.com"
      "aes256-gcm@openssh.com"
      "aes128-gcm@openssh.com"
      "aes256-ctr"
      "aes192-ctr"
      "aes128-ctr"
    ];
    AllowUsers = setting names null "Only these users may log in.";
    DenyUsers = setting names null "These users may not, whatever else is said.";
    AllowGroups = setting names null "Only members of these groups may log in.";
    DenyGroups = setting names null "Members of these groups may not, whatever else is said.";
    # PAM's motd prints it
    PrintMotd = setting types.bool false "Whether to enable printing /etc/motd when a user logs in interactively.";
    Banner = setting types.path null "File shown before authentication.";
  };
in
{
  options.services.openssh.settings = mkOption {
    type = types.submodule {
      freeformType = types.attrsOf atom;
      options = known;
    };
    default = { };
    description = "Settings of {manpage}`sshd_config(5)`.";
  };
}
