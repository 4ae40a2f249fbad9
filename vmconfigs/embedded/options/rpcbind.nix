# services.rpcbind: tells clients the ports of RPC services, rpcbind(8).
{
  config,
  lib,
  pkgs,
  ...
}:

{
  options.services.rpcbind.enable = lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = "Whether rpcbind runs; NFS before version 4 needs it.";
  };

  config = lib.mkIf config.services.rpcbind.enable {
    environment.systemPackages = [ pkgs.rpcbind ];

    systemd.packages = [ pkgs.rpcbind ];
    systemd.services.rpcbind = {
      wantedBy = [ "multi-user.target" ];
      # its folder below /run has to be there
      wants = [ "systemd-tmpfiles-setup.service" ];
      after = [ "systemd-tmpfiles-setup.service" ];
    };

    users.users.rpc = {
      group = "nogroup";
      # NixOS's fixed number
      uid = 271;
    };
  };
}
