# sshd_config(5) from services.openssh.settings and extraConfig.
{ lib }:

let
  inherit (lib) concatStringsSep elem mapAttrsToList;

  commaSeparated = [
    "Ciphers"
    "KexAlgorithms"
    "Macs"
  ];
  spaceSeparated = [
    "AcceptEnv"
    "AuthorizedKeysFile"
    "AllowGroups"
    "AllowUsers"
    "DenyGroups"
    "DenyUsers"
  ];
  pretty = lib.generators.toPretty { };

  atom =
    v:
    if builtins.isInt v then
      toString v
    else if builtins.isString v || builtins.isPath v then
      "${v}"
    else if v == true then
      "yes"
    else if v == false then
      "no"
    else
      throw "unsupported type ${builtins.typeOf v}: ${pretty v}";

  value =
    key: v:
    if !builtins.isList v then
      v
    else if elem key commaSeparated then
      concatStringsSep "," v
    else if elem key spaceSeparated then
      concatStringsSep " " v
    else
      throw "list value for unknown key ${key}: ${pretty v}";

  line = key: v: "${lib.escape [ " " ] key} ${atom (value key v)}\n";

  # What the shell makes of the body of an unquoted here-document (sh(1p), 2.7.4): backslashes, parameters,
  # commands. NixOS passes extraConfig through one, in a builder where no parameter of the user's is set.
  special = ''(\\[$`\
]|\$\([^)]*\)?|`[^`]*`?|\$\{[^}]*}|\$[A-Za-z_][A-Za-z0-9_]*|\$[0-9@*#?!$-])'';
  expand =
    token:
    if lib.hasPrefix "\\" token then
      (if token == "\\\n" then "" else lib.removePrefix "\\" token)
    else if lib.hasPrefix "$(" token || lib.hasPrefix "`" token then
      throw "services.openssh.extraConfig: NixOS would run ${token} in the shell that builds sshd_config; write what it prints, or \\ before it"
    else if token == "$HOME" || token == "\${HOME}" then
      # what Nix sets for every build
      "/homeless-shelter"
    else if builtins.match ''\$([A-Za-z_0-9].*|\{[A-Za-z_][A-Za-z0-9_]*})'' token != null then
      ""
    else
      throw "services.openssh.extraConfig: NixOS would expand ${token} in the shell that builds sshd_config; write \\ before it";
  hereDocument =
    body:
    lib.concatMapStrings (part: if builtins.isList part then expand (builtins.head part) else part) (
      builtins.split special body
    );
in
rec {
  # One line a setting; null is not written.
  settings = s: lib.concatStrings (mapAttrsToList line (lib.filterAttrs (_: v: v != null) s));

  # As NixOS hands it to the shell: extraConfig is a here-document's body, which ends in a newline.
  unexpanded = cfg: settings cfg.settings + cfg.extraConfig + "\n";

  # As it stands in /etc/ssh.
  final = cfg: settings cfg.settings + hereDocument "${cfg.extraConfig}\n";
}
