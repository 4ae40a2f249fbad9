{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.offload-server;
in
{
  options.services.offload-server = {
    enable = lib.mkEnableOption "building for laptops";
    enableNFS = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to share the store.";
    };
    cachePort = lib.mkOption {
      type = lib.types.port;
      default = 5000;
      description = "Port of the cache.";
    };
  };
  config = lib.mkIf cfg.enable {
    nix.settings.trusted-users = [ "nix-builder" ];
    users.users.nix-builder = {
      isSystemUser = true;
      group = "nix-builder";
      home = "/var/lib/nix-builder";
      openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA laptop" ];
    };
    users.groups.nix-builder = { };
    networking.firewall.allowedTCPPorts = [ cfg.cachePort ];
    systemd.services.greet = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig.ExecStart = "${pkgs.coreutils}/bin/echo hello";
    };
    environment.systemPackages = [ (pkgs.writeShellScriptBin "offload-server-status" "echo fine") ];
    environment.etc."greeting".text = "hello\n";
    warnings = lib.optional (!cfg.enableNFS) "the store is not shared";
  };
}
