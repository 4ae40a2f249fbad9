# The four phases on NixOS guests, in Nix's sandbox. Nothing can be built there, so
# all is made before: both guests' disks hold the system they are switched to, and
# the cache's key, which the laptop's configuration trusts (KEYS=config).
{
  pkgs,
  guests,
  offload-e2e,
}:
let
  inherit (pkgs) lib;

  # The internet's stand-in, and the desktop's cache key.
  identity = pkgs.runCommand "offload-e2e-identity" { nativeBuildInputs = [ offload-e2e ]; } ''
    mkdir $out
    export HOME=$TMPDIR
    offload-e2e identity $out/identity.pem >$out/authority.pem
  '';
  cacheKey =
    pkgs.runCommand "offload-e2e-cache-key"
      {
        nativeBuildInputs = [ pkgs.nix ];
        outputs = [
          "out"
          "private"
        ];
      }
      ''
        mkdir $out $private
        export HOME=$TMPDIR NIX_STATE_DIR=$TMPDIR NIX_STORE_DIR=$TMPDIR/store
        nix-store --generate-binary-cache-key cache.local $private/cache.pem $out/public.pem
        echo "extra-trusted-public-keys = $(cat $out/public.pem)" >$out/nix.conf
      '';

  machine =
    modules:
    guests.machine {
      inherit modules;
      certificateFiles = [ "${identity}/authority.pem" ];
    };

  # One machine: what it boots, and what it is switched to. The modules are those
  # that harness/nixos.OpenRepository imports of this repository.
  prepare =
    {
      hostName,
      modules,
      populate ? "",
    }:
    let
      base = machine [ { networking.hostName = hostName; } ];
      host = machine (modules ++ [ { networking.hostName = hostName; } ]);
      inherit (host.config.system.build) toplevel;
    in
    {
      bundle = guests.bundle {
        machine = base;
        also = [ toplevel ];
        inherit populate;
      };
      base = builtins.fromJSON (guests.configuration base);
      host = builtins.fromJSON (guests.configuration host) // {
        toplevel = "${toplevel}";
      };
    };

  machines = {
    desktop = prepare {
      hostName = "desktop";
      modules = [
        ../modules/services/offload-server.nix
        ../modules/system/binary-cache.nix
        {
          services.offload-server = {
            enable = true;
            enableNFS = true;
          };
          kernelcore.system.binary-cache.enable = true;
        }
      ];
      populate = ''
        mkdir -p var
        install -m 600 ${cacheKey.private}/cache.pem var/cache-priv-key.pem
        install -m 644 ${cacheKey}/public.pem var/cache-pub-key.pem
      '';
    };
    laptop = prepare {
      hostName = "kernelcore";
      modules = [
        ../modules/services/laptop-offload-client.nix
        ../modules/system/binary-cache.nix
        {
          services.laptop-offload-client.enable = true;
          kernelcore.system.binary-cache.enable = true;
          nix.extraOptions = "!include ${cacheKey}/nix.conf";
          system.extraDependencies = [ cacheKey ];
        }
      ];
    };
  };
in
pkgs.runCommand "offload-e2e-check"
  {
    nativeBuildInputs = [
      offload-e2e
      pkgs.nix
      pkgs.qemu
    ];
    prepared = builtins.toJSON machines;
    passAsFile = [ "prepared" ];
    # Without KVM all is emulated, and takes some minutes.
    meta.timeout = 3600;
    passthru = { inherit machines; };
  }
  ''
    export HOME=$TMPDIR OFFLOAD_E2E_CACHE=$TMPDIR/cache OFFLOAD_E2E_STATE=$TMPDIR/state OFFLOAD_E2E_PREPARED=$preparedPath
    install -D -m 600 ${identity}/identity.pem $OFFLOAD_E2E_CACHE/internet/identity.pem
    offload-e2e run --guest nixos --keys config --labels 'phase1 || phase2 || phase3 || phase4' --report $out
  ''
