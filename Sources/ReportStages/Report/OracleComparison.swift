import Files
import Imaging
import ProceduralWorld
import StageSupport

/// The oracle's scores of all images before tuning and by one tuned model.
struct OracleComparison {
  let model: ReportedModel
  let prompts: Int
  let images: Int
  let aesthetics: PairedComparison
  let agreement: PairedComparison
  /// The scores in order of prompt, then image.
  let before: [OracleScore]
  let after: [OracleScore]

  /// - Parameter groupSize: the number of images per prompt
  init(
    of model: ReportedModel, before: [OracleScore], after: [OracleScore], prompts: Int,
    groupSize: Int
  ) {
    self.model = model
    self.before = before
    self.after = after
    self.prompts = prompts
    images = before.count
    aesthetics = PairedComparison(
      before: before.map(\.aesthetics), after: after.map(\.aesthetics), groupSize: groupSize)
    agreement = PairedComparison(
      before: before.map(\.agreement), after: after.map(\.agreement), groupSize: groupSize)
  }

  /// Returns the scores of one model's images, in order of prompt, then image.
  ///
  /// - Parameter image: returns an image by the indices of its prompt and image
  static func scores(
    of prompts: [String], _ imagesPerPrompt: Int, image: (Int, Int) throws -> RGBImage
  ) throws -> [OracleScore] {
    try prompts.enumerated().flatMap { index, prompt in
      let scene = try Scene(prompt: prompt)
      return try (0..<imagesPerPrompt).map { number in
        OracleScore(
          of: try WorldImage(
            try image(index, number), name: "image \(number) of \"\(prompt)\""),
          as: scene)
      }
    }
  }

  var json: JSON {
    [
      "prompts": .integer(prompts), "pictures": .integer(images),
      "aesthetics": aesthetics.json, "agreement": agreement.json,
    ]
  }
}
