"""One view of a landmark as a picture, with the truth about what it shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmarks_tools.sample_gallery import cave, props
from landmarks_tools.sample_gallery.camera import aim_camera
from landmarks_tools.sample_gallery.ray_march import march, normals, openness, sunlight
from landmarks_tools.sample_gallery.scene import (
    Landmark,
    Light,
    column,
    daylight,
    ground_colour,
    horizon,
    near_ground,
    sky,
)
from landmarks_tools.sample_gallery.sdf import Field
from landmarks_tools.sample_gallery.surface import Surface, noise
from landmarks_tools.sample_gallery.views import View

_OVERSAMPLING = 1.3  # drawn larger and then reduced, which smooths the edges
_FAR = np.float32(1e9)


@dataclass(frozen=True)
class Rendering:
    """A picture (size, size, 3) uint8 and what it shows.

    `landmark` is the mask of the frame's samples that show it, finer than the picture;
    `prominence` its share of the frame; `occluded` the share of the landmark that something
    stands in front of.
    """

    image: NDArray[np.uint8]
    landmark: NDArray[np.bool_]
    prominence: float
    occluded: float


@dataclass
class _Seen:
    """What rays meet: light (3, N), metres (N,), and which of them meet the landmark (N,)."""

    colour: Field
    depth: Field
    landmark: NDArray[np.bool_]


def render(landmark: Landmark, view: View, size: int = 224) -> Rendering:
    """Draw a view at size × size pixels."""
    fine = round(size * _OVERSAMPLING)
    camera = aim_camera(landmark, view, fine)
    light = daylight(
        view.time_of_day, view.sun_azimuth, view.sun_elevation, view.clouds, view.haze, view.seed
    )
    origin = np.broadcast_to(column(camera.position), camera.rays.shape)
    seen = _look(landmark, view, light, origin, camera.rays, camera.pixel, reflections=True)
    colour = seen.colour.reshape(3, fine, fine)
    depth, mask = seen.depth.reshape(fine, fine), seen.landmark.reshape(fine, fine)
    visible = mask.copy()
    if not landmark.setting.cave:
        props.plant(landmark, view, light, camera, colour, depth, visible)
    props.occlude(landmark, view, light, colour, visible)
    whole = int(mask.sum())
    return Rendering(
        image=_develop(colour, view, size),
        landmark=visible,
        prominence=float(visible.mean()),
        occluded=1.0 - int(visible.sum()) / whole if whole else 0.0,
    )


def _look(
    landmark: Landmark,
    view: View,
    light: Light,
    origin: Field,
    direction: Field,
    pixel: float,
    *,
    reflections: bool,
) -> _Seen:
    down = direction[1] < -1e-4
    floor = np.where(
        down & ~np.bool_(landmark.setting.cave),
        -origin[1] / np.where(down, direction[1], np.float32(-1.0)),
        _FAR,
    )
    solid = march(landmark, origin, direction, floor, pixel)
    depth = np.minimum(solid, floor)
    colour = np.zeros_like(direction)
    shown = np.zeros(solid.shape, bool)

    on_solid = np.flatnonzero(solid < _FAR)
    if on_solid.size:
        colour[:, on_solid], shown[on_solid] = _shade_solid(
            landmark,
            view,
            light,
            origin[:, on_solid],
            direction[:, on_solid],
            solid[on_solid],
            pixel,
        )
    on_ground = np.flatnonzero((solid >= _FAR) & (floor < _FAR))
    if on_ground.size:
        colour[:, on_ground] = _shade_ground(
            landmark,
            view,
            light,
            origin[:, on_ground],
            direction[:, on_ground],
            floor[on_ground],
            pixel,
            reflections=reflections,
        )
    away = np.flatnonzero(depth >= _FAR)
    if away.size and not landmark.setting.cave:
        colour[:, away] = horizon(direction[:, away], light, landmark.setting, view.season)
    hazy = np.flatnonzero(depth < _FAR)
    if landmark.setting.cave:
        colour[:, hazy] *= np.exp(-depth[hazy] / 60.0)
    elif hazy.size:
        veil = 1.0 - np.exp(-depth[hazy] * (light.haze + 0.012) * 1e-3)
        veil = np.where(solid[hazy] < _FAR, np.minimum(veil, 0.35), veil)
        level = direction[:, hazy].copy()
        level[1] = np.maximum(level[1], 0.02)
        colour[:, hazy] += (sky(level, light, clouds=False) - colour[:, hazy]) * veil
    return _Seen(colour, depth, shown)


def _shade_solid(
    landmark: Landmark,
    view: View,
    light: Light,
    origin: Field,
    direction: Field,
    depth: Field,
    pixel: float,
) -> tuple[Field, NDArray[np.bool_]]:
    point = origin + direction * depth
    footprint = (depth * pixel).astype(np.float32)
    normal = normals(landmark, point, np.maximum(footprint, 2e-3))
    parts = landmark.shape(point[0], point[1], point[2])
    which = np.argmin(np.stack([part for part, _ in parts]), axis=0)
    albedo, weight = np.zeros_like(point), np.zeros_like(depth)
    gloss, lit, glow = np.zeros_like(depth), np.zeros_like(depth), np.zeros_like(point)
    shown = np.zeros(depth.shape, bool)
    for index in np.unique(which):
        material = parts[index][1]
        at = np.flatnonzero(which == index)
        surface = Surface(point[:, at], normal[:, at], footprint[at])
        albedo[:, at], weight[at] = material.albedo(surface)
        gloss[at], lit[at], shown[at] = material.gloss, material.lit, material.landmark
        if material.glow:
            glow[:, at] = column(material.glow) * weight[at]
    if landmark.setting.cave:
        return cave.light(landmark, view, point, normal, albedo), shown
    if view.season == "winter" and landmark.setting.snow:
        cover = np.clip((normal[1] - 0.45) * 3.0, 0.0, 0.85)
        albedo = albedo + (column((0.84, 0.87, 0.92)) - albedo) * cover
    colour = _lit(landmark, light, point, normal, albedo, footprint)
    if light.flood:
        height = landmark.extent[1]
        upward = 0.32 + 0.68 * np.exp(-point[1] / (0.55 * height))
        # Lamps stand at the foot, more of them before the front.
        facing = 0.35 + 0.25 * np.clip(0.4 - normal[1], 0.0, 1.0) + 0.4 * np.abs(normal[2])
        colour += albedo * column(landmark.setting.flood) * (upward * facing * lit * 0.8)
        colour += glow * 0.8
    if gloss.any():
        at = np.flatnonzero(gloss)
        d, n = direction[:, at], normal[:, at]
        cosine = -(d * n).sum(0)
        bounce = d + 2.0 * cosine * n
        mirror = np.where(
            bounce[1] > 0.0, sky(bounce, light), column((0.16, 0.15, 0.13)) * light.ambient
        )
        fresnel = gloss[at] + (1.0 - gloss[at]) * 0.6 * np.clip(1.0 - cosine, 0.0, 1.0) ** 4
        colour[:, at] += (mirror - colour[:, at]) * fresnel
    return colour, shown


def _lit(
    landmark: Landmark, light: Light, point: Field, normal: Field, albedo: Field, footprint: Field
) -> Field:
    """Return sun with shadows, light of the sky from above and light from the ground from below."""
    facing = np.clip((normal * column(light.sun)).sum(0), 0.0, 1.0)
    toward = np.flatnonzero(facing > 0.0)
    lifted = point[:, toward] + normal[:, toward] * (2.0 * footprint[toward])
    softness = 14.0 if light.sun_colour[0] > 1.0 else 4.0
    facing[toward] *= sunlight(landmark, lifted, light.sun, softness)
    above = 0.5 + 0.5 * normal[1]
    around = column(light.zenith) * 0.55 + column(light.horizon) * 0.45 + 0.05
    below = column((0.30, 0.27, 0.22)) * (column(light.sun_colour) * 0.16 + 0.1)
    below = below * (0.2 if light.flood else 1.0)
    ambient = (around * above + below * (1.0 - above)) * light.ambient
    ambient = ambient * openness(landmark, point, normal)
    result: Field = albedo * (column(light.sun_colour) * facing + ambient)
    return result


def _shade_ground(
    landmark: Landmark,
    view: View,
    light: Light,
    origin: Field,
    direction: Field,
    depth: Field,
    pixel: float,
    *,
    reflections: bool,
) -> Field:
    setting = landmark.setting
    point = origin + direction * depth
    x, z = point[0], point[2]
    footprint = depth * pixel / np.clip(-direction[1], 0.08, 1.0)
    near = near_ground(landmark, x, z)
    snow = view.season == "winter" and setting.snow
    albedo = np.empty_like(point)
    for kind, where in ((setting.near, near), (setting.far, ~near)):
        at = np.flatnonzero(where)
        albedo[:, at] = ground_colour(kind, x[at], z[at], footprint[at], view.season, snow=snow)
    normal = np.zeros_like(point)
    normal[1] = 1.0
    colour = _lit(landmark, light, point, normal, albedo, footprint)
    if light.flood:
        span = max(landmark.extent)
        away = np.sqrt(x * x + z * z) / (1.2 * span)
        colour += albedo * column(setting.flood) * (0.5 * np.exp(-away * away))
    wet = np.where(near, setting.near == "water", setting.far == "water")
    if "water" in (setting.near, setting.far) and reflections and wet.any():
        at = np.flatnonzero(wet)
        colour[:, at] = _water(
            landmark, view, light, point[:, at], direction[:, at], depth[at], colour[:, at], pixel
        )
    return colour


def _water(
    landmark: Landmark,
    view: View,
    light: Light,
    point: Field,
    direction: Field,
    depth: Field,
    colour: Field,
    pixel: float,
) -> Field:
    """Mirror the scene in rippled water."""
    wave = max(1.2, landmark.extent[1] * 0.02)
    calm = 0.035 + 0.05 * (view.seed % 7) / 7
    across = (noise(point[0] / wave, point[2] / wave * 1.7 + 3.0) - 0.5) * calm
    along = (noise(point[0] / wave + 40.0, point[2] / wave * 1.7) - 0.5) * calm
    # Ripples that a pixel cannot resolve would only be grain.
    settled = np.clip(1.5 - depth * pixel / wave, 0.15, 1.0)
    bounce = direction.copy()
    bounce[1] = -bounce[1]
    bounce[0] += across * settled
    bounce[2] += along * settled
    bounce[1] = np.maximum(bounce[1] + across * settled * 0.5, 0.004)
    bounce /= np.sqrt((bounce * bounce).sum(0))
    mirrored = _look(landmark, view, light, point, bounce, pixel * 2.0, reflections=False).colour
    mirror = 0.12 + 0.72 * np.clip(1.0 + direction[1], 0.0, 1.0) ** 3.0
    result: Field = colour + (mirrored - colour) * mirror
    return result


def _develop(colour: Field, view: View, size: int) -> NDArray[np.uint8]:
    """Expose, balance, tone-map and reduce to the picture's size, with the sensor's noise."""
    gain = np.array([1.0 + view.warmth, 1.0, 1.0 - view.warmth], np.float32)[:, None, None]
    linear = np.maximum(
        colour * gain * (view.exposure * (1.7 if view.time_of_day == "dusk" else 0.82)), 0.0
    )
    # A film curve: Krzysztof Narkowicz, "ACES filmic tone mapping curve".
    film = linear * (2.51 * linear + 0.03) / (linear * (2.43 * linear + 0.59) + 0.14)
    shown = np.clip(film, 0.0, 1.0) ** (1.0 / 2.2)
    pixels = np.ascontiguousarray((shown * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))
    small = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    image = np.asarray(small).astype(np.float32)
    if view.noise:
        rng = np.random.default_rng(view.seed)
        image += rng.standard_normal(image.shape, np.float32) * (255.0 * view.noise)
    result: NDArray[np.uint8] = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return result
