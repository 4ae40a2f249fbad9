# nix.sshServe: the store to others over SSH, to a user who can do nothing else.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.nix.sshServe;

  command =
    if cfg.protocol == "ssh" then
      "nix-store --serve ${lib.optionalString cfg.write "--write"}"
    else
      "nix-daemon --stdio";

  flag =
    description:
    mkOption {
      type = types.bool;
      default = false;
      inherit description;
    };
in
{
  options.nix.sshServe = {
    enable = flag "Whether the user `nix-ssh` serves the store.";
    write = flag "Whether paths may be put into it as well.";
    trusted = flag "Whether Nix trusts that user.";
    keys = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Public keys that log in as that user.";
    };
    protocol = mkOption {
      type = types.enum [
        "ssh"
        "ssh-ng"
      ];
      default = "ssh";
      description = "Which of Nix's protocols is spoken.";
    };
  };

  config = lib.mkIf cfg.enable {
    users.users.nix-ssh = {
      isSystemUser = true;
      group = "nix-ssh";
      description = "Nix SSH store user";
      shell = pkgs.bashInteractive;
      openssh.authorizedKeys.keys = cfg.keys;
    };
    users.groups.nix-ssh = { };

    nix.settings.trusted-users = lib.mkIf cfg.trusted [ "nix-ssh" ];

    services.openssh.enable = true;
    services.openssh.extraConfig = ''
      Match User nix-ssh
        AllowAgentForwarding no
        AllowTcpForwarding no
        PermitTTY no
        PermitTunnel no
        X11Forwarding no
        ForceCommand ${config.nix.package.out}/bin/${command}
      Match All
    '';
  };
}
