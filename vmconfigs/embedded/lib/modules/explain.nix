# Why an option has its value: every definition, where it stands, with which
# priority, and whether it counts. Works on the result of evalModules; costs
# nothing unless asked.
#
# explainOption { config, options, … } path ->
#   { path, type, declarations, value, priority, definitions }
#   definitions: [ { file, line, column, priority, value, wins } ]
# Members of attrsOf, of submodules and of freeform types are explained as
# options are. line and column are null where Nix does not know them. Values
# are such that they can be JSON.
{ lib }:
let
  inherit (builtins)
    concatMap
    elemAt
    filter
    foldl'
    head
    isAttrs
    isList
    length
    mapAttrs
    tail
    tryEval
    ;
  inherit (lib.attrsets) isDerivation;
  inherit (lib.lists) drop;
  inherit (lib.modules) defaultOverridePriority mergeDefinitions;
  inherit (lib.options) isOption showOption;
  inherit (lib.types) memberDefinitions;

  # A value as JSON can have it. What throws is said to do so.
  plain =
    value:
    let
      whole = tryEval (builtins.seq value value);
      v = whole.value;
    in
    if !whole.success then
      "<error>"
    else if lib.trivial.isFunction v then
      "<function>"
    else if builtins.isPath v then
      toString v
    else if isList v then
      map plain v
    else if !isAttrs v then
      v
    else if v._type or null == "pkgs" then
      "<packages>"
    else if isDerivation v || v ? outPath then
      toString (v.outPath or v.name)
    else if v ? __toString then
      toString v
    else if v._type or null == "merge" then
      (if length v.contents == 1 then plain (head v.contents) else map plain v.contents)
    else if v ? _type && v ? content then
      plain v.content
    else
      mapAttrs (_: plain) v;

  located =
    def:
    let
      pos = def.pos or null;
      own = pos != null && pos.line or null != null;
    in
    {
      file = toString (if own then pos.file else def.file);
      line = if own then pos.line else null;
      column = if own then pos.column else null;
      inherit (def) priority wins;
      value = plain def.value;
    };

  # Definitions of the member `name`, out of those of the set around it. Of a
  # set that lost, all members lost.
  descend =
    defs: name:
    let
      inner = concatMap (
        outer:
        let
          raw = (memberDefinitions outer).${name};
          merged = mergeDefinitions [ name ] lib.types.raw [ raw ];
        in
        if isAttrs outer.value && outer.value ? ${name} then
          map (def: def // { inherit outer; }) merged.allDefinitions
        else
          [ ]
      ) defs;
      counting = filter (def: def.outer.wins) inner;
      least = foldl' (least: def: if def.priority < least then def.priority else least) 9999 counting;
    in
    map (
      def:
      removeAttrs def [ "outer" ]
      // {
        wins = def.outer.wins && def.priority == least;
        # A plain member has the strength of the set it stands in.
        priority =
          if def.priority == defaultOverridePriority || !def.outer.wins then
            def.outer.priority
          else
            def.priority;
      }
    ) inner;

  # What is at `path` below a value of `type` with these definitions.
  # Result: { type, definitions, declarations }.
  below =
    loc: type: defs: path:
    let
      name = head path;
      rest = tail path;
      members = descend defs name;
      winners = filter (def: def.wins) defs;
      inside = (mergeDefinitions loc type winners).checkedAndMerged.valueMeta.configuration;
      strength = if winners == [ ] then defaultOverridePriority else (head winners).priority;
      lost = foldl' descend (filter (def: !def.wins) defs) path;
      found = fromConfiguration inside path;
    in
    if path == [ ] then
      {
        inherit type;
        definitions = defs;
        declarations = [ ];
      }
    else if isWrapper type then
      below loc type.nestedTypes.elemType defs path
    else if type.name == "attrsOf" || type.name == "lazyAttrsOf" then
      below (loc ++ [ name ]) type.nestedTypes.elemType members rest
    else if type.name == "submodule" then
      found
      // {
        definitions = map (
          def: if def.priority == defaultOverridePriority then def // { priority = strength; } else def
        ) found.definitions ++ lost;
      }
    else
      # Whatever type it is inside: take the sets apart.
      below (loc ++ [ name ]) lib.types.raw members rest;
  isWrapper =
    type:
    builtins.elem type.name [
      "nullOr"
      "unique"
    ];

  # What is at `path` of a configuration: an option, something below one, or
  # something that the freeform type took.
  fromConfiguration =
    configuration: path:
    let
      # Names up to and with the first that is an option.
      find =
        n: options:
        if n == length path || !(options ? ${elemAt path n}) then
          null
        else
          let
            option = options.${elemAt path n};
          in
          if isOption option then
            {
              inherit option;
              rest = drop (n + 1) path;
            }
          else
            find (n + 1) option;
      found = find 0 configuration.options;
      inOption = below found.option.loc found.option.type found.option.allDefinitions found.rest;
      freeform = configuration._module.freeformType or null;
      free = below [ ] freeform (map (
        def:
        def
        // {
          priority = defaultOverridePriority;
          wins = true;
        }
      ) configuration.freeformDefinitions) path;
    in
    if found != null then
      inOption
      // {
        declarations =
          if found.rest == [ ] || inOption.declarations == [ ] then
            found.option.declarations
          else
            inOption.declarations;
      }
    else if freeform != null then
      free
    else
      throw "The option `${showOption path}' does not exist.";

  # Is the path that of a set of options?
  optionsBelow =
    options: path:
    foldl' (set: name: if set == null || isOption set then null else set.${name} or null) options path;

  explain =
    configuration: path:
    let
      found = fromConfiguration configuration path;
      definitions = map located found.definitions;
      winning = filter (def: def.wins) definitions;
      set = optionsBelow configuration.options path;
      isSet = set != null && !isOption set && path != [ ];
      value = tryEval (
        lib.attrsets.attrByPath path (throw "`${showOption path}' has no value") configuration.config
      );
    in
    if isSet then
      {
        inherit path;
        type = "set of options";
        declarations = [ ];
        value = if value.success then plain value.value else "<error>";
        priority = null;
        definitions = [ ];
      }
    else
      {
        inherit path definitions;
        type = found.type.description;
        declarations = map toString found.declarations;
        value = if value.success then plain value.value else "<error>";
        priority = if winning == [ ] then null else (head winning).priority;
      };
in
{
  # The path may also be given along: explainOption { config, options, path }.
  explainOption =
    evaluation: if evaluation ? path then explain evaluation evaluation.path else explain evaluation;
}
