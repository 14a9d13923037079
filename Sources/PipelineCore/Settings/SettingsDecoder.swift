import Files

/// Reads settings from JSON and refuses keys that nothing asked for.
struct SettingsDecoder {
  /// - Parameter path: what errors call the value, such as `stages.encode`.
  static func settings<Value: Decodable>(
    _ type: Value.Type, from json: JSON, path: String
  ) throws -> Value {
    let log = KeyLog()
    let value = try DecodingNode(json: json, path: path, codingPath: [], log: log).decode(type)
    try log.refuseUnknownKeys()
    return value
  }
}

/// Which keys of which objects have been asked for.
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
        path: "\(path).\(unknown)", nearest: nearest(to: unknown, in: known), known: known)
    }
  }
}

private struct DecodingNode: Decoder {
  let json: JSON
  let path: String
  let codingPath: [any CodingKey]
  let log: KeyLog
  var keepsKeys = false
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    if let primitive = type as? any SettingPrimitive.Type {
      guard let value = primitive.init(setting: json) as? Value else {
        throw wrongKind(primitive.settingKind)
      }
      return value
    }
    var node = self
    node.keepsKeys = type is any FreeMap.Type
    do {
      return try Value(from: node)
    } catch DecodingError.dataCorrupted(let context) {
      // A type's own refusal, or that of an enum made from text, which does not name its cases.
      guard let cases = type as? any CaseIterable.Type else {
        throw PipelineError.badSetting(path: path, reason: context.debugDescription)
      }
      throw wrongKind("one of \(caseNames(cases).joined(separator: ", "))")
    }
  }

  func child(_ json: JSON, _ key: any CodingKey, name: String) -> DecodingNode {
    DecodingNode(json: json, path: path + name, codingPath: codingPath + [key], log: log)
  }

  func wrongKind(_ expected: String) -> PipelineError {
    .badSetting(path: path, reason: "must be \(expected), but is \(json.text())")
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

private func caseNames<Cases: CaseIterable>(_ type: Cases.Type) -> [String] {
  type.allCases.map { value in
    if let raw = (value as? any RawRepresentable)?.rawValue { "\"\(raw)\"" } else { "\(value)" }
  }
}

private struct KeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let node: DecodingNode
  let object: JSON.Object
  var codingPath: [any CodingKey] { node.codingPath }

  var allKeys: [Key] { object.keys.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { value(key) != nil }
  func decodeNil(forKey key: Key) -> Bool { value(key) == .null }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try child(key).decode(type)
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
    return node.child(json, key, name: ".\(name(key))")
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
        path: node.path, reason: "has \(elements.count) elements, more are needed")
    }
    defer { currentIndex += 1 }
    return node.child(
      elements[currentIndex], Index(intValue: currentIndex), name: "[\(currentIndex)]")
  }
}

private struct SingleDecoding: SingleValueDecodingContainer {
  let node: DecodingNode
  var codingPath: [any CodingKey] { node.codingPath }

  func decodeNil() -> Bool { node.json == .null }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try node.decode(type) }
}
