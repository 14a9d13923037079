/// A type of settings, neither number nor string, that describes its valid values.
public protocol NamedSettingKind {
  /// The kind in words, such as `a string or a list of strings`.
  static var settingKind: String { get }
}

/// A description of the values that a type of settings takes.
struct SettingKind {
  let text: String
  /// The values of an enumerated type.
  var choices: [String] = []

  /// Nil for a type whose members are settings themselves.
  init?(of type: Any.Type, _ limits: SettingLimits = .none) {
    switch type {
    case let setting as any AnySetting.Type: self.init(of: setting.valueType, limits)
    case let optional as any OptionalType.Type:
      guard let wrapped = SettingKind(of: optional.wrapped, limits) else { return nil }
      self.init(text: "\(wrapped.text) or null", choices: wrapped.choices)
    case let named as any NamedSettingKind.Type: self.init(text: named.settingKind)
    case let list as any ListType.Type:
      guard let element = SettingKind(of: list.element, limits) else { return nil }
      self.init(text: "a list, each element \(element.text)")
    case is any FreeMap.Type: self.init(text: "an object whose values are strings")
    case let choice as any CaseIterable.Type:
      let names = Self.names(choice)
      self.init(text: listed(names.map { "\"\($0)\"" }, "or"), choices: names)
    case let primitive as any SettingPrimitive.Type:
      self.init(text: Self.text(primitive, limits))
    default: return nil
    }
  }

  /// Whether values are numbers, including optional ones and lists.
  static func isNumeric(_ type: Any.Type) -> Bool {
    switch type {
    case let optional as any OptionalType.Type: isNumeric(optional.wrapped)
    case let list as any ListType.Type: isNumeric(list.element)
    case is any FixedWidthInteger.Type, is any BinaryFloatingPoint.Type: true
    default: false
    }
  }

  private init(text: String, choices: [String] = []) {
    self.text = text
    self.choices = choices
  }

  private static func text(
    _ primitive: any SettingPrimitive.Type, _ limits: SettingLimits
  ) -> String {
    switch limits {
    case .none: return primitive.settingKind
    case .text: return limits.text ?? primitive.settingKind
    case .range(let bounds):
      let from = bounds.includesLower && bounds.includesUpper ? "from " : ""
      let kind = primitive is any FixedWidthInteger.Type ? "an integer" : primitive.settingKind
      return "\(kind) \(from)\(bounds.text)"
    }
  }

  private static func names<Cases: CaseIterable>(_ type: Cases.Type) -> [String] {
    type.allCases.map { value in
      if let raw = (value as? any RawRepresentable)?.rawValue { "\(raw)" } else { "\(value)" }
    }
  }
}

/// `a, b or c`.
func listed(_ words: [String], _ conjunction: String) -> String {
  guard words.count > 1, let last = words.last else { return words.first ?? "" }
  return "\(words.dropLast().joined(separator: ", ")) \(conjunction) \(last)"
}

private protocol OptionalType { static var wrapped: Any.Type { get } }
extension Optional: OptionalType { static var wrapped: Any.Type { Wrapped.self } }

private protocol ListType { static var element: Any.Type { get } }
extension Array: ListType { static var element: Any.Type { Element.self } }
