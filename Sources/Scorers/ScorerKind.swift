/// The published scores of images.
public enum ScorerKind: String, CaseIterable, Sendable {
  /// Kirstain et al. 2023, arXiv 2305.01569.
  case pickScore = "pickscore"
  /// Wu et al. 2023, arXiv 2306.09341. Versions 2 and 2.1 differ in their weights alone.
  case hpsV2 = "hpsv2"
  case hpsV21 = "hpsv2.1"
  /// Hessel et al. 2021, arXiv 2104.08718, as torchmetrics scales it.
  case clipScore = "clip"
  /// LAION's aesthetic predictors: the linear one, and the improved one.
  case aesthetic1 = "aesthetic-v1"
  case aesthetic2 = "aesthetic-v2"

  /// Returns the message for a name that is not a scorer's.
  public static func hint(for name: String) -> String {
    guard ["oracle", "procedural-world"].contains(name.lowercased()) else { return "" }
    return "; the oracle of the built-in world scores images of a pipeline only: "
      + "report.oracle=procedural-world, spo.held_out_oracle=procedural-world"
  }

  /// Whether a score depends on the prompt.
  public var readsPrompts: Bool { headVersion == nil }

  /// Whether its image vectors are CLIP's own, from which the diversity of images is computed.
  public var measuresDiversity: Bool { self == .clipScore }

  /// Decimals at which models differ.
  public var decimals: Int {
    switch self {
    case .pickScore, .aesthetic1, .aesthetic2: 3
    case .hpsV2, .hpsV21: 4
    case .clipScore: 2
    }
  }

  /// The name of the weights if published as a single file.
  var publishedFile: String? {
    switch self {
    case .hpsV2: "HPS_v2_compressed.pt"
    case .hpsV21: "HPS_v2.1_compressed.pt"
    default: nil
    }
  }

  /// Whether its CLIP is a ViT-H/14.
  var isHuge: Bool { [.pickScore, .hpsV2, .hpsV21].contains(self) }

  var headVersion: AestheticHead.Version? {
    switch self {
    case .aesthetic1: .linear
    case .aesthetic2: .improved
    default: nil
    }
  }

  var preprocessing: ImagePreprocessing {
    switch self {
    // Both are told through transformers' image processor.
    case .pickScore, .clipScore: .centre(roundsToEven: false)
    case .hpsV2, .hpsV21: .whole
    case .aesthetic1, .aesthetic2: .centre(roundsToEven: true)
    }
  }

  /// The factor of a cosine.
  ///
  /// - Parameter scale: `exp(logit_scale)` of the model
  func factor(scale: Float) -> Float {
    switch self {
    case .pickScore: scale
    case .clipScore: 100
    default: 1
    }
  }
}
