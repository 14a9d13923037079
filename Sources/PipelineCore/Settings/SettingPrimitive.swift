import Files

/// A setting that is a single JSON value.
protocol SettingPrimitive {
  /// The required kind of value, in words for messages.
  static var settingKind: String { get }
  init?(setting: JSON)
  var setting: JSON { get }
  /// What a text that is no such value most likely stands for.
  static func meant(by text: String) -> String?
}

extension SettingPrimitive {
  static func meant(by text: String) -> String? { nil }
}

extension Bool: SettingPrimitive {
  static var settingKind: String { "true or false" }
  init?(setting: JSON) {
    guard let value = setting.bool else { return nil }
    self = value
  }
  var setting: JSON { .bool(self) }
}

extension String: SettingPrimitive {
  static var settingKind: String { "a string" }
  init?(setting: JSON) {
    guard let value = setting.string else { return nil }
    self = value
  }
  var setting: JSON { .string(self) }
}

extension Double: SettingPrimitive {
  static var settingKind: String { "a number" }
  init?(setting: JSON) {
    guard let value = setting.double else { return nil }
    self = value
  }
  var setting: JSON { .number(self) }
}

extension Float: SettingPrimitive {
  static var settingKind: String { "a number" }
  init?(setting: JSON) {
    guard let value = setting.double else { return nil }
    self = Float(value)
  }
  // Via the shortest text, so that 0.1 stays 0.1.
  var setting: JSON { .number(Double(description) ?? Double(self)) }
}

extension FixedWidthInteger {
  static var settingKind: String {
    self == Int.self ? "an integer" : "an integer from \(min) to \(max)"
  }
  init?(setting: JSON) {
    if case .unsigned(let value) = setting {
      self.init(exactly: value)
    } else if let value = setting.int {
      self.init(exactly: value)
    } else {
      return nil
    }
  }
  var setting: JSON { Int(exactly: self).map { .integer($0) } ?? JSON(UInt64(self)) }
}

extension Int: SettingPrimitive {}
extension Int8: SettingPrimitive {}
extension Int16: SettingPrimitive {}
extension Int32: SettingPrimitive {}
extension Int64: SettingPrimitive {}
extension UInt: SettingPrimitive {}
extension UInt8: SettingPrimitive {}
extension UInt16: SettingPrimitive {}
extension UInt32: SettingPrimitive {}
extension UInt64: SettingPrimitive {}

/// A map with free keys, such as column names, which are used verbatim.
protocol FreeMap {}
extension Dictionary: FreeMap {}

/// Returns the spelling of a property in a pipeline file: `maxRejectFraction` is
/// `max_reject_fraction`.
func settingKey(_ property: String) -> String {
  let characters = Array(property)
  var key = ""
  for (index, character) in characters.enumerated() {
    if character.isUppercase, index > 0 {
      let followsWord = !characters[index - 1].isUppercase
      let startsWord = index + 1 < characters.count && characters[index + 1].isLowercase
      if followsWord || startsWord { key += "_" }
    }
    key += character.lowercased()
  }
  return key
}
