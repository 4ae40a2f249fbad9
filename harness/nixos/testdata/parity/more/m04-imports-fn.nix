# Imports: functions, sets with _file, key, conditional on specialArgs, nested lists by ++.
{ lib, modulesPath, ... }:
let
  mk = n: { ... }: { environment.etc."n${toString n}".text = toString n; networking.firewall.allowedTCPPorts = [ n ]; };
in
{
  imports = [ (mk 1) (mk 2) { _file = "here"; config.environment.etc.x.text = "x"; } { key = "same"; environment.etc.k.text = "k"; } { key = "same"; environment.etc.k.text = "other"; } ]
    ++ map mk [ 3 4 ] ++ lib.optional (lib.hasSuffix "modules" modulesPath) (mk 5) ++ [ ./sub/m04-a.nix ./sub/m04-a.nix ];
  environment.etc.mp.text = baseNameOf modulesPath;
}
