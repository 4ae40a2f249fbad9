# Declaring options, showing them, and ways to merge definitions.
{ lib }:
let
  inherit (builtins)
    all
    concatMap
    concatStringsSep
    filter
    foldl'
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    length
    mapAttrs
    tail
    ;
  inherit (lib.attrsets)
    attrByPath
    collect
    isDerivation
    optionalAttrs
    showAttrPath
    ;
  inherit (lib.lists)
    last
    optional
    optionals
    take
    toList
    ;
  inherit (lib.strings) concatMapStrings concatMapStringsSep escapeNixIdentifier;
  inherit (lib) types;

  howToChoose = ''
    Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.
  '';

  # A value for the manual.
  rendered =
    value:
    if value ? _type && value ? text then
      value
    else
      literalExpression (
        lib.generators.toPretty {
          multiline = true;
          allowPrettyValues = true;
        } value
      );
  literal =
    name: type: text:
    if isString text then
      {
        _type = type;
        inherit text;
      }
    else
      throw "${name} expects a string.";
  literalExpression = literal "literalExpression" "literalExpression";
in
rec {
  inherit literalExpression;
  renderOptionValue = rendered;
  literalMD = literal "literalMD" "literalMD";
  literalCode = language: text: literalMD "```${language}\n${text}\n```\n";

  isOption = value: value._type or "" == "option";

  mkOption =
    {
      default ? null,
      defaultText ? null,
      example ? null,
      description ? null,
      relatedPackages ? null,
      type ? null,
      apply ? null,
      internal ? null,
      visible ? null,
      readOnly ? null,
    }@option:
    option // { _type = "option"; };

  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };

  mkPackageOption =
    pkgs: name:
    {
      nullable ? false,
      # Path of the package in pkgs; null: none.
      default ? name,
      example ? null,
      extraDescription ? "",
      pkgsText ? "pkgs",
    }:
    let
      path = toList default;
      shown = showAttrPath path;
    in
    mkOption (
      {
        type = if nullable then types.nullOr types.package else types.package;
        description =
          "The ${if isList name then last name else name} package to use."
          + (if extraDescription == "" then "" else " ${extraDescription}");
      }
      // (
        if default != null then
          {
            default = attrByPath path (throw "${shown} cannot be found in ${pkgsText}") pkgs;
            defaultText = literalExpression "${pkgsText}.${shown}";
          }
        else
          optionalAttrs nullable { default = null; }
      )
      // optionalAttrs (example != null) {
        example = literalExpression (
          if isList example then "${pkgsText}.${showAttrPath example}" else example
        );
      }
    );

  mkSinkUndeclaredOptions =
    attrs:
    mkOption (
      {
        internal = true;
        visible = false;
        default = false;
        description = "Sink for option definitions.";
        type = types.mkOptionType {
          name = "sink";
          check = _: true;
          merge = _: _: false;
        };
        apply = _: throw "Option value is not readable because the option is not declared.";
      }
      // attrs
    );

  getValues = map (def: def.value);
  getFiles = map (def: def.file);

  # Whatever suits the values.
  mergeDefaultOption =
    loc: defs:
    let
      values = getValues defs;
      first = head values;
    in
    if length values == 1 then
      first
    else if all lib.trivial.isFunction values then
      arg: mergeDefaultOption loc (map (f: { value = f arg; }) values)
    else if all isList values then
      builtins.concatLists values
    else if all isAttrs values then
      foldl' (a: b: a // b) { } values
    else if all isBool values then
      foldl' (a: b: a || b) false values
    else if all isString values then
      concatStringsSep "" values
    else if all isInt values && all (v: v == first) values then
      first
    else
      throw "Cannot merge definitions of `${showOption loc}'. Definition values:${showDefs defs}";
  mergeOneOption = mergeUniqueOption { message = ""; };
  mergeUniqueOption =
    {
      message,
      merge ? _: defs: (head defs).value,
    }:
    loc: defs:
    assert defs != [ ];
    if length defs == 1 then
      merge loc defs
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\n${message}\nDefinition values:${showDefs defs}\n${howToChoose}";
  mergeEqualOption =
    loc: defs:
    let
      first = head defs;
      others = filter (def: def.value != first.value) (tail defs);
    in
    if defs == [ ] then
      abort "This case should never happen."
    # Not compared with itself: a function is not equal to itself.
    else if length defs == 1 || others == [ ] then
      first.value
    else
      throw "The option `${showOption loc}' has conflicting definition values:${
        showDefs [
          first
          (head others)
        ]
      }\n${howToChoose}";

  # For manuals: a flat list of all options.
  optionAttrSetToDocList = optionAttrSetToDocList' [ ];
  optionAttrSetToDocList' =
    _: options:
    concatMap (
      opt:
      let
        name = showOption opt.loc;
        visible = opt.visible or true;
        type = opt.type or { };
        hasEmpty = (type.emptyValue or { }) ? value && type.getSubModules or null == null;
        entry = {
          inherit (opt) loc;
          inherit name;
          description = opt.description or null;
          declarations = filter (file: file != unknownModule) opt.declarations;
          internal = opt.internal or false;
          visible = if isBool visible then visible else visible == "shallow";
          readOnly = opt.readOnly or false;
          type = type.description or "unspecified";
        }
        // optionalAttrs (opt ? example) {
          example = builtins.addErrorContext "while evaluating the example of option `${name}`" (
            rendered opt.example
          );
        }
        // optionalAttrs (opt ? defaultText || opt ? default || hasEmpty) {
          default = builtins.addErrorContext "while evaluating the default of option `${name}`" (
            rendered (opt.defaultText or opt.default or type.emptyValue.value)
          );
        }
        // optionalAttrs (opt.relatedPackages or null != null) {
          inherit (opt) relatedPackages;
        };
        inner = opt.type.getSubOptions opt.loc;
      in
      [ entry ]
      ++ optionals ((if isBool visible then visible else visible == "transparent") && inner != { }) (
        optionAttrSetToDocList' opt.loc inner
      )
    ) (collect isOption options);
  scrubOptionValue =
    value:
    if isDerivation value then
      {
        type = "derivation";
        inherit (value) name;
        drvPath = value.name;
        outPath = value.name;
      }
    else if isList value then
      map scrubOptionValue value
    else if isAttrs value then
      mapAttrs (_: scrubOptionValue) (removeAttrs value [ "_args" ])
    else
      value;

  unknownModule = "<unknown-file>";
  # `<name>` and `*` stand for any name.
  showOption = concatMapStringsSep "." (
    name:
    if name == "*" || builtins.match "<(.*)>" name != null then name else escapeNixIdentifier name
  );
  showFiles = concatMapStringsSep " and " (file: "`${file}'");
  showOptionWithDefLocs = opt: ''
    ${showOption opt.loc}, with values defined in:
    ${concatMapStringsSep "\n" (file: "  - ${file}") opt.files}
  '';
  # File and value of each definition; of long values the beginning, of those
  # that cannot be evaluated none.
  showDefs = concatMapStrings (
    def:
    let
      shown = builtins.tryEval (
        lib.generators.toPretty { } (
          lib.generators.withRecursion {
            depthLimit = 10;
            throwOnDepthLimit = false;
          } def.value
        )
      );
      lines = filter isString (builtins.split "\n" shown.value);
      indented = concatStringsSep "\n    " (take 5 lines ++ optional (length lines > 5) "...");
    in
    "\n- In `${def.file}'"
    + (
      if !shown.success then
        ""
      else if length lines > 1 then
        ":\n    ${indented}"
      else
        ": ${indented}"
    )
  );
}
