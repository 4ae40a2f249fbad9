# attrListOf: an ordered list of name = value. Written as a set, or as a list
# of sets with one member each; mkOrder and mkOverride work on each.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    foldl'
    head
    isAttrs
    isList
    length
    sort
    typeOf
    zipAttrsWith
    ;
  inherit (lib.modules)
    defaultOrderPriority
    defaultOverridePriority
    mergeDefinitions
    mkDefinition
    mkOrder
    mkOverride
    ;
  inherit (lib.options) showDefs showOption;
  inherit (lib.types)
    headErrorOf
    mkOptionType
    nounOrComposite
    optionDescriptionPhrase
    v2Check
    v2Merge
    ;

  # { value, order, priority }: mkOrder taken off, mkOverride left for the merge.
  peel =
    value:
    let
      type = value._type or null;
      inner = peel value.content;
    in
    if type == "order" then
      inner // { order = value.priority; }
    else if type == "override" then
      {
        inherit (inner) order;
        inherit (value) priority;
        value = mkOverride value.priority inner.value;
      }
    else
      {
        inherit value;
        order = defaultOrderPriority;
        priority = defaultOverridePriority;
      };
in
rec {
  attrListOf = elemType: attrListWith { inherit elemType; };
  attrListWith =
    {
      elemType,
      asAttrs ? false,
      mergeAttrValues ? _name: values: values,
    }:
    let
      check = v2Check (x: isList x || isAttrs x);
      description = "attribute list of ${optionDescriptionPhrase nounOrComposite elemType}";
      # One { name = value; } of a list.
      item =
        loc: file: raw:
        let
          ordered = raw._type or null == "order";
          set = if ordered then raw.content else raw;
          key = head (attrNames set);
          peeled = peel set.${key};
        in
        if isAttrs set && length (attrNames set) == 1 then
          peeled // { inherit file key; } // (if ordered then { order = raw.priority; } else { })
        else
          throw "A definition for option `${showOption loc}' is not of type `${description}'. ${
            if !isAttrs set then
              "Each list element must be an attribute set, but got ${typeOf set}"
            else
              "Each list element must be a single-key attribute set, but got ${toString (length (attrNames set))} keys"
          }.${
            showDefs [
              {
                inherit file;
                value = raw;
              }
            ]
          }";
      itemsOf =
        loc: def:
        if isList def.value then
          map (item loc def.file) def.value
        else
          map (key: peel def.value.${key} // { inherit (def) file; inherit key; }) (attrNames def.value);
    in
    mkOptionType {
      name = "attrListOf";
      inherit description check;
      descriptionClass = "composite";
      merge = v2Merge (
        { loc, defs }:
        let
          all = concatMap (itemsOf loc) defs;
          strongest = foldl' (
            best: i:
            if i.priority < best.${i.key} or defaultOverridePriority then
              best // { ${i.key} = i.priority; }
            else
              best
          ) { } all;
          items = sort (a: b: a.order < b.order) (
            filter (i: i.priority == strongest.${i.key} or defaultOverridePriority) all
          );
          evals = filter (e: e.merged.isDefined) (
            map (i: {
              inherit (i) key file order;
              merged = mergeDefinitions (loc ++ [ i.key ]) elemType [
                {
                  inherit (i) file value;
                }
              ];
            }) items
          );
          pair = e: { ${e.key} = e.merged.mergedValue; };
          list = map pair evals;
        in
        {
          headError = headErrorOf check defs;
          value = if asAttrs then zipAttrsWith mergeAttrValues list else list;
          valueMeta = {
            attrList = map (e: e.merged.checkedAndMerged.valueMeta) evals;
            attrListValue = list;
            definitions = map (
              e:
              mkDefinition {
                inherit (e) file;
                value = mkOrder e.order (pair e);
              }
            ) evals;
          };
        }
      );
      emptyValue.value = if asAttrs then { } else [ ];
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "*" ]);
      inherit (elemType) getSubModules;
      substSubModules =
        m:
        attrListWith {
          inherit asAttrs mergeAttrValues;
          elemType = elemType.substSubModules m;
        };
      typeMerge = _: null;
      nestedTypes.elemType = elemType;
    };
}
