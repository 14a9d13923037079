public import Files

/// The description of a setting that the program's help, its documentation and its checks share.
public struct SettingDescriptor: Equatable, Sendable {
  /// Its spelling in a pipeline file.
  public let name: String
  /// The kind of values in words, without the range.
  public let type: String
  /// The accepted words of an enumerated setting; otherwise empty.
  public let choices: [String]
  public let defaultValue: JSON
  public let limits: SettingLimits
  public let sentence: String
  /// Whether a numeric value is possible, which requires a range.
  public let isNumeric: Bool

  public var json: JSON {
    var object: JSON.Object = JSON.Object()
    object["name"] = .string(name)
    object["type"] = .string(type)
    if !choices.isEmpty { object["values"] = .array(choices.map { .string($0) }) }
    object["default"] = defaultValue
    object["range"] = limits.text.map { .string($0) } ?? .null
    if case .range(let bounds) = limits {
      object["minimum"] = .number(bounds.lower)
      object["maximum"] = .number(bounds.upper)
    }
    object["description"] = .string(sentence)
    return .object(object)
  }
}

extension StageSettings {
  /// Returns the settings of the type declared with ``Setting``, in declaration order.
  public static func descriptors() throws -> [SettingDescriptor] {
    try Mirror(reflecting: Self()).children.compactMap { label, value in
      guard let label, label.hasPrefix("_"), let setting = value as? any AnySetting else {
        return nil
      }
      let valueType = type(of: setting).valueType
      let kind = SettingKind(of: valueType)
      return SettingDescriptor(
        name: settingKey(String(label.dropFirst())), type: kind?.text ?? "\(valueType)",
        choices: kind?.choices ?? [], defaultValue: try setting.json(),
        limits: setting.limits, sentence: setting.sentence,
        isNumeric: SettingKind.isNumeric(valueType))
    }
  }
}
