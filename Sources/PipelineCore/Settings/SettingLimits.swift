import Files

/// The valid values of a setting's type.
public enum SettingLimits: Equatable, Sendable {
  case none
  case range(Bounds)
  case text(TextForm)

  /// A range of finite numbers.
  public struct Bounds: Equatable, Sendable {
    public let lower: Double
    public let upper: Double
    public let includesLower: Bool
    public let includesUpper: Bool

    init(_ range: ClosedRange<Double>) {
      self.init(range.lowerBound, range.upperBound)
    }

    init(_ range: Range<Double>) {
      self.init(range.lowerBound, range.upperBound, includesUpper: false)
    }

    init(above lower: Double, upTo upper: Double) {
      self.init(lower, upper, includesLower: false)
    }

    private init(
      _ lower: Double, _ upper: Double, includesLower: Bool = true, includesUpper: Bool = true
    ) {
      self.lower = lower
      self.upper = upper
      self.includesLower = includesLower
      self.includesUpper = includesUpper
    }

    public func contains(_ number: Double) -> Bool {
      (includesLower ? number >= lower : number > lower)
        && (includesUpper ? number <= upper : number < upper)
    }
  }

  /// The required form of a string.
  public enum TextForm: Sendable {
    case notEmpty
    /// The name of a file, without a folder.
    case fileName

    func accepts(_ text: String) -> Bool {
      switch self {
      case .notEmpty: !text.isEmpty
      case .fileName: SafeName(text) != nil
      }
    }
  }

  /// The phrase after "must be"; nil if there is no limit.
  public var text: String? {
    switch self {
    case .none: nil
    case .range(let bounds): bounds.text
    case .text(.notEmpty): "a string that is not empty"
    case .text(.fileName):
      "a file name of \(SafeName.rule)"
    }
  }

  /// Rejects a value, or an element of it, that is outside the limits.
  ///
  /// - Parameters:
  ///   - given: the value as spelled in the file, for the message
  func check(_ value: JSON, given: JSON, path: String) throws(PipelineError) {
    switch value {
    case .null, .bool, .object: return
    case .array(let elements):
      for (index, element) in elements.enumerated() {
        try check(element, given: given[index] ?? element, path: "\(path)[\(index)]")
      }
      return
    case .string(let text):
      guard case .text(let form) = self, !form.accepts(text) else { return }
    case .integer, .unsigned, .number:
      guard case .range(let bounds) = self, let number = value.double, !bounds.contains(number)
      else { return }
    }
    throw .badSetting(path: path, reason: "must be \(text ?? ""), but is \(given.shortText)")
  }
}

extension SettingLimits.Bounds {
  var text: String {
    let (lowest, highest) = (Self.text(lower), Self.text(upper))
    return switch (includesLower, includesUpper) {
    case (true, true): "\(lowest) to \(highest)"
    case (true, false): "at least \(lowest) and below \(highest)"
    case (false, true): "above \(lowest) and at most \(highest)"
    case (false, false): "above \(lowest) and below \(highest)"
    }
  }

  private static func text(_ number: Double) -> String {
    Int(exactly: number).map { "\($0)" } ?? "\(number)"
  }
}

extension JSON {
  /// The value on one line of bounded length, for messages.
  var shortText: String {
    let text = text()
    return text.count <= 60 ? text : "\(text.prefix(57))..."
  }
}
