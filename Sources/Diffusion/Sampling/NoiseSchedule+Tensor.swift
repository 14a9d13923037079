public import Autograd

extension NoiseSchedule {
  /// Returns noised latents, each row at its own timestep.
  ///
  ///     x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon
  ///
  /// - Source: Ho et al. 2020, arXiv 2006.11239, equation 4
  public func noised(_ latents: Tensor, with noise: Tensor, timesteps: [Int]) -> Tensor {
    func column(_ value: (Float) -> Float) -> Tensor {
      Tensor(timesteps.map { value(alphaBar[$0]) }, shape: [timesteps.count, 1, 1, 1])
    }
    return latents * column { $0.squareRoot() } + noise * column { (1 - $0).squareRoot() }
  }

  /// Returns the model's training target for noised latents, each row at its own timestep.
  ///
  /// - Source: Salimans and Ho 2022, arXiv 2202.00512, for v
  public func target(
    _ latents: Tensor, noise: Tensor, timesteps: [Int], prediction: PredictionType
  ) -> Tensor {
    switch prediction {
    case .noise: return noise
    case .x0: return latents
    case .velocity:
      let shape = [timesteps.count, 1, 1, 1]
      return noise * Tensor(timesteps.map { alphaBar[$0].squareRoot() }, shape: shape)
        - latents * Tensor(timesteps.map { (1 - alphaBar[$0]).squareRoot() }, shape: shape)
    }
  }

  /// Returns the x0 predictions implied by model outputs, each row at its own timestep.
  public func denoised(
    _ latents: Tensor, modelOutput: Tensor, timesteps: [Int], prediction: PredictionType
  ) -> Tensor {
    let mixtures = timesteps.map { timestep in
      prediction.predictedX0(
        alpha: alphaBar[timestep].squareRoot(), sigma: (1 - alphaBar[timestep]).squareRoot())
    }
    let shape = [timesteps.count, 1, 1, 1]
    return latents * Tensor(mixtures.map(\.sample), shape: shape)
      + modelOutput * Tensor(mixtures.map(\.output), shape: shape)
  }
}
