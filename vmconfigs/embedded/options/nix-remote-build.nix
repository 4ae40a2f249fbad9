# nix.buildMachines and /etc/nix/machines (nix.conf(5), "builders").
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  cfg = config.nix;

  nullOrStr =
    description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit description;
    };
  count =
    description:
    mkOption {
      type = types.int;
      default = 1;
      inherit description;
    };
  strings =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };

  machine.options = {
    hostName = mkOption {
      type = types.str;
      description = "Name or address of the machine.";
    };
    protocol = mkOption {
      type = types.enum [
        null
        "ssh"
        "ssh-ng"
      ];
      default = "ssh";
      description = "How to talk to it; null writes no scheme.";
    };
    system = nullOrStr "What it builds for. Goes before `systems`; one of the two is needed.";
    systems = strings "The systems it builds for.";
    sshUser = nullOrStr "Who to log in as: a user its Nix trusts.";
    sshKey = nullOrStr "File of the private key, without passphrase, readable by the daemon.";
    maxJobs = count "How many builds it runs at a time.";
    speedFactor = count "How fast it is beside the others.";
    mandatoryFeatures = strings "Only derivations that require all of these go there.";
    supportedFeatures = strings "What it offers to derivations that require a feature.";
    publicHostKey = nullOrStr "Its host key in base64, if not ssh's own known_hosts.";
  };

  orDash = v: if v == null || v == "" then "-" else v;
  list = lib.concatStringsSep ",";

  # One line: URI, systems, key, jobs, speed, features, mandatory features, host key.
  line =
    m:
    lib.concatStringsSep " " [
      (
        lib.optionalString (m.protocol != null) "${m.protocol}://"
        + lib.optionalString (m.sshUser != null) "${m.sshUser}@"
        + m.hostName
      )
      (if m.system != null then m.system else orDash (list m.systems))
      (if m.sshKey == null then "-" else m.sshKey)
      (toString m.maxJobs)
      (toString m.speedFactor)
      (if m.supportedFeatures ++ m.mandatoryFeatures == [ ] then "-" else list (m.supportedFeatures ++ m.mandatoryFeatures))
      (if m.mandatoryFeatures == [ ] then "-" else list m.mandatoryFeatures)
      (if m.publicHostKey == null then "-" else m.publicHostKey)
    ]
    + "\n";

  withoutSystem = lib.filter (m: m.system == null && m.systems == [ ]) cfg.buildMachines;
in
{
  options.nix = {
    buildMachines = mkOption {
      type = types.listOf (types.submodule machine);
      default = [ ];
      description = "Machines that build for this one.";
    };
    distributedBuilds = mkOption {
      type = types.bool;
      default = false;
      description = "Whether builds go to those machines.";
    };
  };

  # The file is written whether builds are distributed or not: `builders` can name it all the same.
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = withoutSystem == [ ];
        message = ''
          At least one system type (via <varname>system</varname> or
            <varname>systems</varname>) must be set for every build machine.
            Invalid machine specifications:
        ''
        + "      "
        + lib.concatMapStringsSep "\n      " (m: m.hostName) withoutSystem;
      }
    ];

    environment.etc."nix/machines" = lib.mkIf (cfg.buildMachines != [ ]) {
      text = lib.concatMapStrings line cfg.buildMachines;
    };

    nix.settings = lib.mkIf (!cfg.distributedBuilds) { builders = null; };
  };
}
