import Files

/// Decodes settings from JSON; rejects unused keys and values outside their range.
struct SettingsDecoder {
  /// - Parameters:
  ///   - path: the value's name in errors, such as `stages.encode`
  ///   - paths: names of some of its settings in errors
  static func settings<Settings: StageSettings>(
    _ type: Settings.Type, from json: JSON, path: String, paths: [String: String] = [:]
  ) throws -> Settings {
    for (key, value) in json.object ?? JSON.Object() {
      try requireText(value, path: paths[key] ?? "\(path).\(key)")
    }
    let log = KeyLog()
    var node = DecodingNode(json: json, path: path, codingPath: [], log: log)
    node.paths = paths
    for descriptor in try type.descriptors() { node.limits[descriptor.name] = descriptor.limits }
    let value = try node.decode(type)
    try log.refuseUnknownKeys()
    return value
  }

  /// Rejects a NUL in any string: system calls would read only what precedes it.
  private static func requireText(_ value: JSON, path: String) throws(PipelineError) {
    switch value {
    case .string(let text):
      guard text.utf8.contains(0) else { return }
      throw .badSetting(
        path: path, reason: "must not contain a NUL character, but is \(value.shortText)")
    case .array(let elements):
      for (index, element) in elements.enumerated() {
        try requireText(element, path: "\(path)[\(index)]")
      }
    case .object(let members):
      for (key, member) in members {
        try requireText(.string(key), path: path)
        try requireText(member, path: "\(path).\(key)")
      }
    case .null, .bool, .integer, .unsigned, .number: return
    }
  }
}

/// A record of which keys of which objects have been requested.
private final class KeyLog {
  private var present: [String: [String]] = [:]
  private var asked: [String: [String]] = [:]
  private var paths: [String] = []

  func opened(_ object: JSON.Object, at path: String) {
    guard present.updateValue(object.keys, forKey: path) == nil else { return }
    paths.append(path)
  }

  func asked(for key: String, at path: String) { asked[path, default: []].append(key) }

  func refuseUnknownKeys() throws(PipelineError) {
    for path in paths {
      let known = asked[path] ?? []
      guard let unknown = present[path]?.first(where: { !known.contains($0) }) else { continue }
      throw .unknownSetting(
        path: "\(path).\(unknown)", nearest: nearestSetting(to: unknown, in: known), known: known)
    }
  }
}

private struct DecodingNode: Decoder {
  let json: JSON
  let path: String
  let codingPath: [any CodingKey]
  let log: KeyLog
  var keepsKeys = false
  /// The kind of values accepted here, once a type has declared it.
  var kind: SettingKind?
  /// Limits of the value here, or of its elements.
  var ownLimits = SettingLimits.none
  /// Limits of the members.
  var limits: [String: SettingLimits] = [:]
  /// Names in errors of members that come from elsewhere.
  var paths: [String: String] = [:]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    var node = self
    node.kind = kind ?? SettingKind(of: type, ownLimits)
    if let primitive = type as? any SettingPrimitive.Type {
      guard let value = primitive.init(setting: json) as? Value else {
        throw node.wrongKind(primitive.settingKind, meant: primitive.meant)
      }
      return value
    }
    node.keepsKeys = type is any FreeMap.Type
    do {
      return try Value(from: node)
    } catch DecodingError.dataCorrupted(let context) {
      // An enum decoded from text does not list its cases; a type's own error says why.
      if node.kind?.choices.isEmpty == false { throw node.wrongKind("") }
      throw PipelineError.badSetting(path: path, reason: context.debugDescription)
    }
  }

  func member(_ json: JSON, _ key: any CodingKey, name: String) -> DecodingNode {
    var node = DecodingNode(
      json: json, path: paths[name] ?? "\(path).\(name)", codingPath: codingPath + [key], log: log)
    node.ownLimits = limits[name] ?? .none
    return node
  }

  func element(_ json: JSON, _ key: any CodingKey, index: Int) -> DecodingNode {
    var node = DecodingNode(
      json: json, path: "\(path)[\(index)]", codingPath: codingPath + [key], log: log)
    node.ownLimits = ownLimits
    return node
  }

  /// - Parameters:
  ///   - expected: used if the type of the setting does not describe itself
  ///   - meant: what a text most likely stands for, if the type has no list of choices
  func wrongKind(
    _ expected: String, meant: (String) -> String? = { _ in nil }
  ) -> PipelineError {
    let meant = json.string.flatMap { nearest(to: $0, in: kind?.choices ?? []) ?? meant($0) }
    let hint = meant.map { "; did you mean \"\($0)\"?" } ?? ""
    return .badSetting(
      path: path, reason: "must be \(kind?.text ?? expected), but is \(json.shortText)\(hint)")
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard let object = json.object else { throw wrongKind("an object") }
    log.opened(object, at: path)
    return KeyedDecodingContainer(KeyedDecoding(node: self, object: object))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard let elements = json.array else { throw wrongKind("a list") }
    return UnkeyedDecoding(node: self, elements: elements)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { SingleDecoding(node: self) }
}

private struct KeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let node: DecodingNode
  let object: JSON.Object
  var codingPath: [any CodingKey] { node.codingPath }

  var allKeys: [Key] { object.keys.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { value(key) != nil }
  func decodeNil(forKey key: Key) -> Bool { value(key) == .null }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    let child = try child(key)
    let value = try child.decode(type)
    if let setting = value as? any AnySetting {
      // The value as it will be used: a number that overflows Float has become infinite.
      try child.ownLimits.check(setting.json(), given: child.json, path: child.path)
    }
    return value
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try child(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try child(key).unkeyedContainer()
  }

  func superDecoder() -> any Decoder { node }
  func superDecoder(forKey key: Key) throws -> any Decoder { try child(key) }

  private func child(_ key: Key) throws -> DecodingNode {
    guard let json = value(key) else {
      throw PipelineError.badSetting(path: "\(node.path).\(name(key))", reason: "is missing")
    }
    return node.member(json, key, name: name(key))
  }

  private func value(_ key: Key) -> JSON? {
    node.log.asked(for: name(key), at: node.path)
    return object[name(key)]
  }

  private func name(_ key: Key) -> String {
    node.keepsKeys ? key.stringValue : settingKey(key.stringValue)
  }
}

private struct UnkeyedDecoding: UnkeyedDecodingContainer {
  let node: DecodingNode
  let elements: [JSON]
  private(set) var currentIndex = 0
  var codingPath: [any CodingKey] { node.codingPath }
  var count: Int? { elements.count }
  var isAtEnd: Bool { currentIndex == elements.count }

  private struct Index: CodingKey {
    let intValue: Int?
    var stringValue: String { intValue.map(String.init) ?? "" }
    init(intValue: Int) { self.intValue = intValue }
    init?(stringValue: String) { intValue = Int(stringValue) }
  }

  mutating func decodeNil() -> Bool {
    guard !isAtEnd, elements[currentIndex] == .null else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try next().decode(type)
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next().unkeyedContainer()
  }

  mutating func superDecoder() throws -> any Decoder { try next() }

  private mutating func next() throws -> DecodingNode {
    guard !isAtEnd else {
      throw PipelineError.badSetting(
        path: node.path, reason: "has too few elements (\(elements.count))")
    }
    defer { currentIndex += 1 }
    return node.element(
      elements[currentIndex], Index(intValue: currentIndex), index: currentIndex)
  }
}

private struct SingleDecoding: SingleValueDecodingContainer {
  let node: DecodingNode
  var codingPath: [any CodingKey] { node.codingPath }

  func decodeNil() -> Bool { node.json == .null }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try node.decode(type) }
}
