# Errors that need more than a line, in NixOS's words.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    concatStringsSep
    filter
    head
    isString
    length
    ;
  inherit (lib.attrsets) attrByPath;
  inherit (lib.lists)
    init
    last
    remove
    sortOn
    take
    ;
  inherit (lib.options) showDefs showOption unknownModule;
  inherit (lib.strings)
    concatMapStringsSep
    levenshtein
    levenshteinAtMost
    optionalString
    trim
    ;

  # The three nearest names; of very many only near ones, for speed.
  nearest =
    name: candidates:
    take 3 (
      sortOn (levenshtein name) (
        if length candidates < 100 then
          candidates
        else
          filter (levenshteinAtMost 2 name) candidates
      )
    );

  esc = builtins.fromJSON ''"\u001b"'';
  styled =
    style: text:
    "${esc}[${style}m${text}${esc}[0m";
  bad = styled "1;35";
  good = styled "1;32";
  code = styled "1";

  flakeHint =
    class:
    ''
      Perhaps you forgot to select an attribute name?

      Instead of, for example,
          ${bad "inputs.someflake"}

      you need to write something like
          ${bad "inputs.someflake"}${
            good ".modules.${if class == null then "someApp" else class}.default"
          }''
    + optionalString (class == "nixos" || class == "darwin") ''

      or
          ${bad "inputs.someflake"}${good ".${class}Modules.default"}'';
  configurationHint = ''
    If you really mean to import this configuration, instead please only import the modules that make up the configuration.
    You may have to create a `let` binding, file or attribute to give yourself access to the relevant modules.
    While loading a configuration into the module system is a very sensible idea, it can not be done cleanly in practice.'';
in
{
  # Definitions that no option takes; the first is told.
  undeclared =
    prefix: options: defs:
    let
      def = head defs;
      path = prefix ++ def.prefix;
      option = showOption path;
      values =
        addErrorContext
          "while evaluating the error message for definitions for `${option}', which is an option that does not exist"
          (addErrorContext "while evaluating a definition from `${def.file}'" (showDefs [ def ]));
      siblings = attrNames (attrByPath (init def.prefix) { } options);
      suggestions = map (name: "`${showOption (init path ++ [ name ])}'") (
        nearest (last def.prefix) (
          if length def.prefix == 1 then remove "_module" siblings else siblings
        )
      );
      hint =
        if suggestions == [ ] then
          ""
        else if length suggestions == 1 then
          "\n\nDid you mean ${head suggestions}?"
        else
          "\n\nDid you mean ${concatStringsSep ", " (init suggestions)} or ${last suggestions}?";
      message = "The option `${option}' does not exist. Definition values:${values}${hint}";
    in
    if attrNames options != [ "_module" ] then
      message
    else if prefix == [ ] then
      ''
        ${message}

        It seems as if you're trying to declare an option by placing it into `config' rather than `options'!
      ''
    else
      ''
        ${message}

        However there are no options defined in `${showOption prefix}'. Are you sure you've
        declared your options properly? This can happen if you e.g. declared your options in `types.submodule'
        under `config' rather than `options'.
      '';

  # Something else in `imports` or `modules`.
  notAModule =
    {
      file,
      type,
      class,
      prefix,
    }:
    concatMapStringsSep "\n\n" trim (
      [
        ''
          Expected a module, but found a value of type ${bad (lib.strings.escapeNixString type)}${
            optionalString (file != null && file != unknownModule)
              ", while trying to load a module into ${toString file}"
          }${
            optionalString (prefix != [ ])
              ", while trying to load a module into ${code (showOption prefix)}"
          }.
          A module is typically loaded by adding it to the ${code "imports = [ ... ];"} attribute of an existing module, or in the ${code "modules = [ ... ];"} argument of various functions.
          Please make sure that each of the list items is a module, and not a different kind of value.
        ''
      ]
      ++ lib.lists.optional (isString type && type == "configuration") configurationHint
      ++ lib.lists.optional (isString type && type == "flake") (flakeHint class)
    );
}
