# services.nix-serve: the store as a binary cache over HTTP.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.nix-serve;
  signed = cfg.secretKeyFile != null;
in
{
  options.services.nix-serve = {
    enable = lib.mkEnableOption "nix-serve, the standalone Nix binary cache server";
    port = mkOption {
      type = types.port;
      default = 5000;
      description = "TCP port to listen on.";
    };
    bindAddress = mkOption {
      type = types.str;
      default = "0.0.0.0";
      description = "Address to listen on.";
    };
    package = lib.mkPackageOption pkgs "nix-serve" { };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the firewall lets the port through.";
    };
    secretKeyFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "File of the key that signs ({manpage}`nix-store(1)`, --generate-binary-cache-key). Read once, at start.";
    };
    extraParams = mkOption {
      type = types.separatedString " ";
      default = "";
      description = "More arguments.";
    };
  };

  config = lib.mkIf cfg.enable {
    # The server's user exists only while it runs, so it cannot be left to `allowed-users`.
    nix.settings = lib.optionalAttrs (lib.versionAtLeast config.nix.package.version "2.4") {
      extra-allowed-users = [ "nix-serve" ];
    };

    systemd.services.nix-serve = {
      description = "nix-serve binary cache server";
      after = [ "network.target" ];
      wantedBy = [ "multi-user.target" ];
      path = [
        config.nix.package.out
        pkgs.bzip2.bin
      ];
      environment.NIX_REMOTE = "daemon";

      script = ''
        ${lib.optionalString signed ''
          export NIX_SECRET_KEY_FILE="$CREDENTIALS_DIRECTORY/NIX_SECRET_KEY_FILE"
        ''}
        exec ${cfg.package}/bin/nix-serve --listen ${cfg.bindAddress}:${toString cfg.port} ${cfg.extraParams}
      '';

      serviceConfig = {
        Restart = "always";
        RestartSec = "5s";
        User = "nix-serve";
        Group = "nix-serve";
        DynamicUser = true;
        LoadCredential = lib.optionalString signed "NIX_SECRET_KEY_FILE:${cfg.secretKeyFile}";
      };
    };

    networking.firewall = lib.mkIf cfg.openFirewall { allowedTCPPorts = [ cfg.port ]; };
  };
}
