import Apply
import Autograd
import Checkpoints
import Diffusion
import Foundation
import RandomStreams
import StepwiseOptimization
import TestSupport
import Testing

@Suite struct StepwiseLossTests {
  private static let steps = 20

  private func scheduler() throws -> DDIMScheduler {
    try DDIMScheduler(ModelFolder(path: fixturePath("sample/model")).pipelineSchedulerConfig())
  }

  private func draw(_ stream: inout RandomStream, _ rows: Int) -> Tensor {
    Tensor(stream.normals(count: rows * 48), shape: [rows, 4, 3, 4])
  }

  @Test(
    "the divergence of the tuned model's steps from the reference's, computed from the definition")
  func divergences() throws {
    var stream = RandomStream(seed: 6, purpose: "test")
    let timesteps = [951, 501, 51]
    let transition = try scheduler().transition(from: timesteps, stepCount: Self.steps, eta: 1)
    let latents = draw(&stream, 3)
    let (tuned, reference) = (draw(&stream, 3), draw(&stream, 3))
    let result = StepwiseLoss(beta: 10, clip: 0.1)(
      PairBatch(
        latents: latents, timesteps: timesteps, win: draw(&stream, 3), lose: draw(&stream, 3)),
      transition, tuned: tuned, reference: reference)

    // For noise predictions, with alpha_t = sqrt(abar_t) and so on.
    let alphaBar = try scheduler().schedule.alphaBar
    for (row, timestep) in timesteps.enumerated() {
      let (now, before) = (
        Double(alphaBar[timestep]), Double(alphaBar[max(timestep - 1000 / Self.steps, 0)])
      )
      let variance = (1 - before) / (1 - now) * (1 - now / before)
      let slope =
        (1 - before - variance).squareRoot() - (before * (1 - now) / now).squareRoot()
      var sum = 0.0
      for place in row * 48..<(row + 1) * 48 {
        let difference = slope * Double(tuned.values[place] - reference.values[place])
        sum += difference * difference / (2 * variance)
      }
      #expect(abs(Double(result.divergences[row]) / (sum / 48) - 1) < 1e-4, "timestep \(timestep)")
    }
  }

  @Test("GradSPO's loss, ratios and gradient are PyTorch's")
  func gradientGuidance() throws {
    let file = try SafetensorsFile(path: fixturePath("method/gradspo/case.safetensors"))
    let inputs = InputTensors(file, prefix: "input.")
    let tuned = try inputs.images("tuned").trainable()
    let shape = tuned.shape
    let next = try inputs.floats(
      "next_latents", shape: [shape[0], 2, shape[3], shape[1], shape[2]])
    let halves = next.split(axis: 1, into: 2).map {
      $0.reshaped(to: [shape[0], shape[3], shape[1], shape[2]]).channelsLast()
    }
    let timesteps = try inputs.timesteps(batch: shape[0])
    let scheduler = try DDIMScheduler(
      ModelFolder(path: fixturePath("method/gradspo")).schedulerConfig())
    let result = GradientGuidanceLoss(beta: 10, clip: 0.1, targetStep: 0.5)(
      PairBatch(
        latents: Tensor(repeating: 0, shape: shape), timesteps: timesteps, win: halves[0],
        lose: halves[1]),
      try scheduler.transition(from: timesteps, stepCount: Self.steps, eta: 1), scheduler.schedule,
      tuned: tuned, reference: try inputs.images("reference"),
      average: try inputs.images("average"))
    func expected(_ name: String) throws -> [Float] { try file.floats("output.\(name)") }
    #expect(relativeError([result.loss.scalar], try expected("loss")) < 1e-5)
    #expect(relativeError(result.winRatios, try expected("ratio_win")) < 1e-5)
    #expect(relativeError(result.loseRatios, try expected("ratio_lose")) < 1e-5)
    let gradient = try #require(gradients(of: result.loss, for: [tuned])[0])
    #expect(relativeError(gradient.channelsFirst().values, try file.floats("grad.tuned")) < 1e-4)
  }

  @Test("it is the mean of log p - log q over what the tuned model draws")
  func expectation() throws {
    var stream = RandomStream(seed: 7, purpose: "test")
    let count = 4_000
    let transition = try scheduler().transition(
      from: [Int](repeating: 601, count: count), stepCount: Self.steps, eta: 1)
    let sigma = transition.rows[0].sigma
    let mean = draw(&stream, 1).repeated(count)
    let other = (draw(&stream, 1).scaled(by: 0.7 * sigma)).repeated(count) + mean
    let drawn = transition.sample(mean: mean, noise: draw(&stream, count))
    let ratios =
      transition.logDensity(drawn, mean: mean) - transition.logDensity(drawn, mean: other)
    let expected = transition.divergence(of: mean, from: other).values[0]
    #expect(abs(ratios.mean().scalar / expected - 1) < 0.03)
  }
}
