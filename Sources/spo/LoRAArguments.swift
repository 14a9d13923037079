import CommandSyntax
import Diffusion
import Evaluation
import Files

extension Arguments {
  /// Returns an option's file or folder, which must exist.
  ///
  /// - Parameter remedy: advice if it does not exist; nil: the usual advice for paths
  /// - Throws: ``MissingInput``
  func present(_ path: String, _ option: String, remedy: String? = nil) throws -> String {
    guard PathKind(of: path) == nil else { return path }
    throw MissingInput(
      option: option, path: path,
      remedy: remedy ?? HubName.remedy(path) ?? "relative paths start at the current folder")
  }

  /// Returns an option's LoRA files, which must exist.
  func loraPaths(_ option: String = "lora") throws -> [String] {
    try values(option).map { path in
      let mark = path.lastIndex(of: "=")
      let scale = mark.flatMap { Float(path[path.index(after: $0)...]) == nil ? nil : path[$0...] }
      return try present(
        path, option,
        remedy: scale.map { "a scale is not part of it: use --\(option)-scale \($0.dropFirst())" })
    }
  }

  /// Returns the strength of each file of such an option.
  func loraScales(_ option: String = "lora") throws -> [Float] {
    let count = values(option).count
    let scaleOption = "\(option)-scale"
    guard count > 0 else {
      guard !has(scaleOption) else { throw error("--\(scaleOption) needs --\(option)") }
      return []
    }
    let scales = try values(scaleOption).map { text in
      guard let scale = Float(text), scale.isFinite else {
        throw error("--\(scaleOption) must be a number, but is \"\(text)\"")
      }
      return scale
    }
    guard scales.count > 1 else {
      return [Float](repeating: scales.first ?? 1, count: count)
    }
    guard scales.count == count else {
      throw error(
        "--\(scaleOption): \(scales.count) given for \(count) --\(option); give one, or one per file"
          + (optionalValue("negative-lora") == nil
            ? "" : " (the weight of a negative LoRA is part of it: --negative-lora FILE=W)"))
    }
    return scales
  }

  /// Returns the files of `--negative-lora` with their weights.
  func negativeLoRAs() throws -> [NegativeLoRA] {
    try values("negative-lora").map { text in
      let lora = NegativeLoRA(text)
      _ = try present(lora.path, "negative-lora")
      return lora
    }
  }

  /// Rejects a negative LoRA if guidance does not use what it changes.
  ///
  /// - Parameter scales: the guidance scales of all images
  func requireGuidance(_ scales: [Float]) throws {
    guard scales.allSatisfy({ $0 >= 0 }) else {
      throw error("--guidance must be 0 or more")
    }
    guard has("negative-lora"), let scale = scales.first(where: { $0 <= 1 }) else { return }
    throw error("--negative-lora has no effect at --guidance \(scale); guidance must be above 1")
  }
}

/// An option's path does not exist.
struct MissingInput: ClassifiedError, CustomStringConvertible {
  let option: String
  let path: String
  let remedy: String

  var kind: FailureKind { .input }

  var description: String {
    "--\(option): \(path.isEmpty ? "\"\"" : path) does not exist; \(remedy)"
  }
}
