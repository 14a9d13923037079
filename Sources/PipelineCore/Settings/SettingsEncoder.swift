import Files

/// Encodes settings as JSON, with nil as an explicit null so that every key is there.
struct SettingsEncoder {
  static func json(_ value: some Encodable) throws -> JSON {
    try EncodingNode.encoding(value, path: []).json
  }
}

/// A value being encoded: nothing yet, one value, or a container of others.
private final class EncodingNode: Encoder {
  enum Content {
    case empty
    case value(JSON)
    case object([(key: String, node: EncodingNode)])
    case array([EncodingNode])
  }

  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any] = [:]
  var content = Content.empty
  var keepsKeys = false

  init(path: [any CodingKey]) { codingPath = path }

  static func encoding(_ value: some Encodable, path: [any CodingKey]) throws -> EncodingNode {
    let node = EncodingNode(path: path)
    node.keepsKeys = value is any FreeMap
    if let primitive = value as? any SettingPrimitive {
      node.content = .value(primitive.setting)
    } else {
      try value.encode(to: node)
    }
    return node
  }

  var json: JSON {
    switch content {
    case .empty: return .object(JSON.Object())
    case .value(let value): return value
    case .array(let nodes): return .array(nodes.map(\.json))
    case .object(let members):
      var object = JSON.Object()
      // A dictionary's own order varies from run to run.
      let ordered = keepsKeys ? members.sorted { $0.key < $1.key } : members
      for (key, node) in ordered { object[key] = node.json }
      return .object(object)
    }
  }

  func add(_ node: EncodingNode, key: any CodingKey) {
    let name = keepsKeys ? key.stringValue : settingKey(key.stringValue)
    var members: [(key: String, node: EncodingNode)] = []
    if case .object(let present) = content { members = present }
    content = .object(members + [(name, node)])
  }

  func add(_ node: EncodingNode) {
    var nodes: [EncodingNode] = []
    if case .array(let present) = content { nodes = present }
    content = .array(nodes + [node])
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if case .empty = content { content = .object([]) }
    return KeyedEncodingContainer(KeyedEncoding(node: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .empty = content { content = .array([]) }
    return UnkeyedEncoding(node: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { SingleEncoding(node: self) }
}

private struct KeyedEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let node: EncodingNode
  var codingPath: [any CodingKey] { node.codingPath }

  func encodeNil(forKey key: Key) { child(key).content = .value(.null) }

  func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    let encoded = try EncodingNode.encoding(value, path: codingPath + [key])
    node.add(encoded, key: key)
  }

  // Without these, which synthesized code calls, a nil optional would leave no key.
  func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try encodeOrNull(value, key) }
  func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try encodeOrNull(value, key) }
  func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try encodeOrNull(value, key) }
  func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try encodeOrNull(value, key) }
  func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try encodeOrNull(value, key) }
  func encodeIfPresent(_ value: String?, forKey key: Key) throws { try encodeOrNull(value, key) }
  func encodeIfPresent<Value: Encodable>(_ value: Value?, forKey key: Key) throws {
    try encodeOrNull(value, key)
  }

  private func encodeOrNull(_ value: (some Encodable)?, _ key: Key) throws {
    if let value { try encode(value, forKey: key) } else { encodeNil(forKey: key) }
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> { child(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    child(key).unkeyedContainer()
  }

  func superEncoder() -> any Encoder { node }
  func superEncoder(forKey key: Key) -> any Encoder { child(key) }

  private func child(_ key: Key) -> EncodingNode {
    let child = EncodingNode(path: codingPath + [key])
    node.add(child, key: key)
    return child
  }
}

private struct UnkeyedEncoding: UnkeyedEncodingContainer {
  let node: EncodingNode
  var codingPath: [any CodingKey] { node.codingPath }
  var count: Int { if case .array(let nodes) = node.content { nodes.count } else { 0 } }

  func encodeNil() { child().content = .value(.null) }

  func encode<Value: Encodable>(_ value: Value) throws {
    node.add(try EncodingNode.encoding(value, path: codingPath))
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) -> KeyedEncodingContainer<Nested> { child().container(keyedBy: type) }

  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { child().unkeyedContainer() }
  func superEncoder() -> any Encoder { child() }

  private func child() -> EncodingNode {
    let child = EncodingNode(path: codingPath)
    node.add(child)
    return child
  }
}

private struct SingleEncoding: SingleValueEncodingContainer {
  let node: EncodingNode
  var codingPath: [any CodingKey] { node.codingPath }

  func encodeNil() { node.content = .value(.null) }

  func encode<Value: Encodable>(_ value: Value) throws {
    let encoded = try EncodingNode.encoding(value, path: codingPath)
    node.content = encoded.content
    node.keepsKeys = encoded.keepsKeys
  }
}
